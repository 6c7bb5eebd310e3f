"""The table of values in the chart's README, from values.yaml and its comments. Pure."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

import yaml

BEGIN, END = "<!-- values: made by make generate -->", "<!-- end of values -->"
_MARK = "# -- "
_KEY = re.compile(r"^(?P<indent> *)(?P<key>[A-Za-z]\w*):")


@dataclass(frozen=True)
class Value:
    """One value that a user may set."""

    path: str
    """``metrics.service.enabled``."""
    default: Any
    meaning: str


def values(text: str) -> list[Value]:
    """Return the values of a values.yaml that a comment with ``--`` explains, in its order."""
    tree = yaml.safe_load(text)
    found: list[Value] = []
    parents: list[str] = []
    meaning = ""
    for line in text.splitlines():
        if line.strip().startswith(_MARK):
            meaning = line.strip().removeprefix(_MARK)
        elif key := _KEY.match(line):
            parents[len(key["indent"]) // 2 :] = [key["key"]]
            if meaning:
                found.append(Value(".".join(parents), _at(tree, parents), meaning))
            meaning = ""
    return found


def with_table(readme: str, text: str) -> str:
    """Return the README with its table made anew. Raises ValueError if it has no place for one."""
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"the README has no lines {BEGIN!r} and {END!r}")
    rows = [f"| `{v.path}` | `{json.dumps(v.default)}` | {v.meaning} |" for v in values(text)]
    table = "\n".join(["| value | default | meaning |", "| --- | --- | --- |", *rows])
    return f"{before}{BEGIN}\n{table}\n{END}{after}"


def _at(tree: Any, path: list[str]) -> Any:
    for key in path:
        tree = tree[key]
    return tree
