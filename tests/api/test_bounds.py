"""Every bound of every field: beyond it, the API server and Python both refuse, and name the field."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from secateur_api import InvalidResource, parse_job
from secateur_api.crd import schema_of
from secateur_api.spec import PruningJobSpec
from tests.api.documents import FULL, job
from tests.api.server import Server

pytestmark = pytest.mark.api
_ELSE = {"claim": "models"}
"""Fields that the document cannot have beside another."""
Place = tuple[str | int, ...]
_WRONG_TYPE = {"string": 5, "integer": 1.5, "number": "many", "boolean": "yes", "object": [], "array": {}}


def _beyond(schema: dict[str, Any], value: Any) -> Iterator[tuple[str, Any]]:
    """For each keyword of a field's schema, a value that breaks it and as little else as can be."""
    yield "type", 1.5 if schema.get("x-kubernetes-int-or-string") else _WRONG_TYPE[schema["type"]]
    if "minimum" in schema:
        yield "minimum", schema["minimum"] - (0 if schema.get("exclusiveMinimum") else 1)
    if "maximum" in schema:
        yield "maximum", schema["maximum"] + (0 if schema.get("exclusiveMaximum") else 1)
    if "pattern" in schema:
        yield "pattern", "!"
        yield "pattern, a letter of others", f"{value}\u00fc"
    if "enum" in schema:
        yield "enum", "Secateur"
    if schema.get("minLength"):
        yield "minLength", ""
    if "maxLength" in schema:
        yield "maxLength", (value[:1] * schema["maxLength"] + value)[-schema["maxLength"] - 1 :]
    if schema.get("minItems"):
        yield "minItems", []
    if "maxItems" in schema:
        yield "maxItems", value * (schema["maxItems"] // len(value) + 1)


def _fields(schema: dict[str, Any], value: Any, place: Place) -> Iterator[tuple[Place, dict[str, Any], Any]]:
    """Walk the schema along a document that has every field: place, schema, value there."""
    yield place, schema, value
    for name, inner in schema.get("properties", {}).items():
        yield from _fields(inner, value.get(name, _ELSE.get(name)), (*place, name))
    if "items" in schema:
        yield (*place, 0), schema["items"], value[0]
        for name, inner in schema["items"].get("properties", {}).items():
            index = next(index for index, one in enumerate(value) if name in one)
            yield from _fields(inner, value[index][name], (*place, index, name))


def _cases() -> Iterator[Any]:
    for place, schema, value in _fields(schema_of(PruningJobSpec), FULL, ()):
        for keyword, wrong in _beyond(schema, value):
            yield pytest.param(place, wrong, id=f"{_path(place)} {keyword}")


def _path(place: Place) -> str:
    return "spec" + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)


def _with(place: Place, wrong: Any) -> dict[str, Any]:
    document = copy.deepcopy(job(FULL))
    if not place:
        return {**document, "spec": wrong}
    at = document["spec"]
    for part in place[:-1]:
        at = at[part]
    at[place[-1]] = wrong
    return document


@pytest.mark.parametrize(("place", "wrong"), list(_cases()))
def test_a_value_beyond_a_bound_is_refused(server: Server, place: Place, wrong: Any) -> None:
    document, path = _with(place, wrong), _path(place)
    with pytest.raises(InvalidResource) as refused:
        parse_job(document)
    assert {one.path for one in refused.value.problems} == {path}
    assert path in server.refuses(document)
