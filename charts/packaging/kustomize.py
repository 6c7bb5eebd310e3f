"""What is made of the chart: the kustomize base and the table of values in its README.

The base has the chart's objects with default values, without what only Helm reads; the table comes from
values.yaml and its comments. Pure.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

NAMESPACE = "secateur-system"
_KUBERNETES = "1.33.0"
"""The oldest version that the chart admits."""
_HELMS_LABELS = ("helm.sh/chart", "app.kubernetes.io/managed-by")
_HEAD = "# Made from the chart by `make generate`; change charts/secateur, or write an overlay.\n"


class NoHelm(Exception):
    """Helm is not on PATH."""


def base(chart: Path) -> str:
    """Render the chart and return the objects as YAML. Raises NoHelm, CalledProcessError."""
    helm = shutil.which("helm")
    if helm is None:
        raise NoHelm("helm is not on PATH")
    options = f"--namespace {NAMESPACE} --kube-version {_KUBERNETES} --set crds.install=false".split()
    command = [helm, "template", "secateur", str(chart), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    documents = [document for document in yaml.safe_load_all(done.stdout) if document]
    return _HEAD + yaml.safe_dump_all((_without_helm(d) for d in documents), sort_keys=False, width=110)


def _without_helm(document: dict[str, Any]) -> dict[str, Any]:
    labels = document["metadata"]["labels"]
    kept = {key: value for key, value in labels.items() if key not in _HELMS_LABELS}
    return {**document, "metadata": {**document["metadata"], "labels": kept}}


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
