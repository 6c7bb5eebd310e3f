"""A PruningJob from a file that a person wrote, with one clear line for each thing that is wrong.

YAML is read as ``kubectl`` and Helm read it (sigs.k8s.io/yaml), so that a file means the same here and on a
cluster: ``1e-3`` is a number, dates and ``12:30:45`` are text, only JSON's values exist.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from secateur_api import InvalidResource, Problem, PruningJob, parse_job

_LONGEST_BYTES = 1024 * 1024
"""A resource that is larger fits into no cluster."""
_DEEPEST = 100
_MOST_VALUES = 100_000
"""Values of a file once its aliases are written out."""
_DIGITS = 300
"""Longest number; a longer one is text, as it is for Go."""
_LONGEST_SAID = 300
"""Longest part of a message that quotes the file."""


class _Refused(yaml.MarkedYAMLError):
    """What the file may not hold."""


class _KubernetesLoader(yaml.SafeLoader):
    """Reads what JSON can say, and refuses a key that is there twice; plain YAML keeps the last."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012  (PyYAML's name)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[object] = set()
        for key_node, _ in node.value:
            key = getattr(key_node, "value", None)
            if isinstance(key, str) and key in seen and key_node.tag != "tag:yaml.org,2002:merge":
                raise _Refused(problem=f"the key {key!r} is there twice", problem_mark=key_node.start_mark)
            seen.add(key if isinstance(key, str) else id(key_node))
        return super().construct_mapping(node, deep)


def _plain(tag: str, pattern: str, first: str) -> None:
    _KubernetesLoader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(pattern), list(first))


_plain("null", r"^(?:~|null|Null|NULL|)$", "~nN")
_KubernetesLoader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile("^$"), [""])
_plain(
    "bool",
    r"^(?:y|Y|yes|Yes|YES|on|On|ON|true|True|TRUE|n|N|no|No|NO|off|Off|OFF|false|False|FALSE)$",
    "yYoOtTnNfF",
)
_plain(
    "int",
    r"^[-+]?(?:0b[01_]+|0o?[0-7_]+|0x[0-9a-fA-F_]*[0-9a-fA-F][0-9a-fA-F_]*|(?:0|[1-9][0-9_]*))$",
    "-+0123456789",
)
_plain("float", r"^[-+]?(?:\.[0-9_]+|[0-9][0-9_]*(?:\.[0-9_]*)?)(?:[eE][-+]?[0-9]+)?$", "-+.0123456789")
_plain("infinity", r"^[-+]?\.(?:inf|Inf|INF)$|^\.(?:nan|NaN|NAN)$", "-+.")
_plain("merge", r"^<<$", "<")


def _construct_bool(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> bool:
    return node.value.lower() in ("y", "yes", "on", "true")


def _construct_int(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> object:
    text = node.value.replace("_", "")
    sign, digits = (text[0], text[1:]) if text[0] in "+-" else ("", text)
    base = {"0b": 2, "0o": 8, "0x": 16}.get(digits[:2], 8 if digits[:1] == "0" and len(digits) > 1 else 10)
    if len(digits) > _DIGITS:
        return node.value
    return int(sign + (digits[2:] if digits[:2] in ("0b", "0o", "0x") else digits), base)


def _construct_float(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> object:
    text = node.value.replace("_", "")
    value = float(text) if len(text) <= _DIGITS else float("inf")
    if value in (float("inf"), float("-inf")):
        return node.value
    return int(value) if re.fullmatch(r"[-+]?0[0-9]+", text) else value


def _no_infinity(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> object:
    raise _Refused(problem=f"{node.value} is no number that JSON has", problem_mark=node.start_mark)


def _no_tag(loader: yaml.SafeLoader, node: yaml.Node) -> object:
    tag = node.tag.replace("tag:yaml.org,2002:", "!!")
    raise _Refused(problem=f"the tag {tag} makes no value that JSON has", problem_mark=node.start_mark)


_KubernetesLoader.yaml_constructors = {
    f"tag:yaml.org,2002:{name}": constructor
    for name, constructor in {
        "null": yaml.SafeLoader.construct_yaml_null,
        "bool": _construct_bool,
        "int": _construct_int,
        "float": _construct_float,
        "infinity": _no_infinity,
        "str": yaml.SafeLoader.construct_yaml_str,
        "seq": yaml.SafeLoader.construct_yaml_seq,
        "map": yaml.SafeLoader.construct_yaml_map,
    }.items()
} | {None: _no_tag}


def read_job(path: Path) -> PruningJob:
    """Read the one PruningJob in a YAML or JSON file; raises InvalidResource with every problem."""
    try:
        with path.open("rb") as file:
            content = file.read(_LONGEST_BYTES + 1)
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise _refused("this is no text in UTF-8; expected YAML") from None
    except OSError as error:
        raise _refused(error.strerror or str(error)) from None
    if len(content) > _LONGEST_BYTES:
        raise _refused(f"it has more than {_LONGEST_BYTES} bytes, which no cluster takes for one resource")
    try:
        _check_size(text)
        documents = [found for found in yaml.load_all(text, _KubernetesLoader) if found is not None]
    except yaml.YAMLError as error:
        raise _refused(f"not valid YAML: {_where(error)}") from None
    if len(documents) != 1:
        found = "nothing" if not documents else f"{len(documents)} documents"
        raise _refused(f"expected one PruningJob, found {found}")
    return parse_job(documents[0])


def _check_size(text: str) -> None:
    """Refuse what would become gigabytes, before anything is built: depth, and values behind aliases."""
    sizes: dict[str, int] = {}
    open_ones: list[tuple[str | None, int]] = []  # anchor, and values before it
    total = 0
    event: Any
    for event in yaml.parse(text, yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            if event.anchor in {anchor for anchor, _ in open_ones}:
                raise _refusal(f"the alias *{event.anchor} is in itself", event)
            total += sizes.get(event.anchor or "", 1)
        elif isinstance(event, yaml.CollectionStartEvent):
            open_ones.append((event.anchor, total))
            total += 1
            if len(open_ones) > _DEEPEST:
                problem = f"it is nested more than {_DEEPEST} levels deep"
                raise _refusal(problem, event)
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = open_ones.pop()
            if anchor is not None:
                sizes[anchor] = total - before
        elif isinstance(event, yaml.ScalarEvent):
            total += 1
            if event.anchor is not None:
                sizes[event.anchor] = 1
        if total > _MOST_VALUES:
            problem = f"with its aliases written out it has more than {_MOST_VALUES} values"
            raise _refusal(problem, event)


def _refusal(problem: str, event: Any) -> _Refused:
    return _Refused(problem=problem, problem_mark=event.start_mark)


def _refused(message: str) -> InvalidResource:
    return InvalidResource([Problem("", message)])


def _where(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = str(getattr(error, "problem", None) or error).replace("\n", " ")[:_LONGEST_SAID]
    return f"line {mark.line + 1}, column {mark.column + 1}: {problem}" if mark else problem
