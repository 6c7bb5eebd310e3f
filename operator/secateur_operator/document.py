"""A PruningJob from a file that a person wrote, with one clear line for each thing that is wrong."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from secateur_api import InvalidResource, Problem, PruningJob, parse_job


class _StrictLoader(yaml.SafeLoader):
    """Refuses a key that is there twice, as the API server does; plain YAML keeps the last in silence."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[object] = set()
        for key_node, _ in node.value:
            key = getattr(key_node, "value", None)
            if isinstance(key, str) and key in seen and key_node.tag != "tag:yaml.org,2002:merge":
                raise yaml.constructor.ConstructorError(
                    problem=f"the key {key!r} is there twice", problem_mark=key_node.start_mark
                )
            seen.add(key if isinstance(key, str) else id(key_node))
        return super().construct_mapping(node, deep)


def read_job(path: Path) -> PruningJob:
    """Read the one PruningJob in a YAML or JSON file; raises InvalidResource with every problem."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise _refused("this is no text file; expected YAML") from None
    except OSError as error:
        raise _refused(error.strerror or str(error)) from None
    try:
        documents = [found for found in yaml.load_all(text, _StrictLoader) if found is not None]
    except yaml.YAMLError as error:
        raise _refused(f"not valid YAML: {_where(error)}") from None
    if len(documents) != 1:
        found = "nothing" if not documents else f"{len(documents)} documents"
        raise _refused(f"expected one PruningJob, found {found}")
    return parse_job(documents[0])


def _refused(message: str) -> InvalidResource:
    return InvalidResource([Problem("", message)])


def _where(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error).replace("\n", " ")
    return f"line {mark.line + 1}, column {mark.column + 1}: {problem}" if mark else problem
