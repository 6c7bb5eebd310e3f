"""Every bound of every field of the schema, and a document that breaks it and as little else as can be."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from secateur_api.crd import schema_of
from secateur_api.spec import PruningJobSpec
from tests.api.documents import FULL, job

_ELSE: dict[str | int, Any] = {
    "claim": "models",
    "lines": {
        "uri": "texts.txt",
        "sha256": "ab" * 32,
        "vocabulary": {"uri": "vocab.txt", "sha256": "ab" * 32, "cased": False},
        "evalShare": 0.3,
    },
    "arrays": {"uri": "cards.npz", "sha256": "ab" * 32, "evalShare": 0.3},
    "exported": {"uri": "net.pdmodel", "sha256": "ab" * 32},
    "images": {
        "uri": "photos.zip",
        "sha256": "ab" * 32,
        "labels": {"uri": "val_list.txt", "sha256": "ab" * 32},
        "size": [32, 32],
        "fit": "line",
        "mean": [0.5, 0.5, 0.5],
        "std": [0.5, 0.5, 0.5],
        "scale": 0.004,
        "layout": "NCHW",
        "order": "BGR",
        "evalShare": 0.3,
    },
    "form": "map",
}
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


def beyond_bounds() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield what is broken, the field's path, and the document."""
    for place, schema, value in _fields(schema_of(PruningJobSpec), FULL, ()):
        for keyword, wrong in _beyond(schema, value):
            yield f"{_path(place)} {keyword}", _path(place), _with(place, wrong)


def _path(place: Place) -> str:
    return "spec" + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)


def _with(place: Place, wrong: Any) -> dict[str, Any]:
    document = copy.deepcopy(job(FULL))
    if not place:
        return {**document, "spec": wrong}
    at = document["spec"]
    for part in place[:-1]:
        at = at[part] if isinstance(part, int) else at.setdefault(part, copy.deepcopy(_ELSE.get(part)))
    at[place[-1]] = wrong
    return document
