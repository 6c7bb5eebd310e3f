"""The CustomResourceDefinition, generated from the models: one source for Python and the API server."""

from __future__ import annotations

from typing import Any, get_args

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from secateur_api.base import GROUP, KIND, VERSION, Contract
from secateur_api.spec import PruningJobSpec
from secateur_api.status import PruningJobStatus

_COLUMNS: tuple[tuple[str, str, str], ...] = (
    ("Phase", "string", ".status.phase"),
    ("Stage", "string", ".status.stage.name"),
    ("Round", "integer", ".status.stage.round.number"),
    ("Metric", "number", ".status.rounds[-1:].outcome.numbers.metric"),
    ("Drop", "number", ".status.rounds[-1:].outcome.drop"),
    ("MACs cut", "number", ".status.rounds[-1:].outcome.cutMacs"),
    ("Speed-up", "number", ".status.benchmarks[0].speedup"),
    ("Age", "date", ".metadata.creationTimestamp"),
)
_DROP = ("title", "additionalProperties", "$defs", "const", "discriminator")


def crd() -> dict[str, Any]:
    """Return the CRD as a dict, in a stable order."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"pruningjobs.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": KIND,
                "listKind": f"{KIND}List",
                "plural": "pruningjobs",
                "singular": "pruningjob",
                "shortNames": ["pj"],
                "categories": ["all"],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "selectableFields": [{"jsonPath": ".status.phase"}],
                    "additionalPrinterColumns": [
                        {"name": name, "type": kind, "jsonPath": path} for name, kind, path in _COLUMNS
                    ],
                    "schema": {
                        "openAPIV3Schema": {
                            "description": "Make a PaddlePaddle model smaller and prove it.",
                            "type": "object",
                            "required": ["spec"],
                            "properties": {
                                "apiVersion": {"type": "string"},
                                "kind": {"type": "string"},
                                "metadata": {"type": "object"},
                                "spec": schema_of(PruningJobSpec),
                                "status": schema_of(PruningJobStatus, with_defaults=False),
                            },
                        }
                    },
                }
            ],
        },
    }


def schema_of(model: type[Contract], with_defaults: bool = True) -> dict[str, Any]:
    """Return a structural schema of a model: references inlined, CEL rules attached, no unions."""
    _, top = models_json_schema([(model, "validation")], by_alias=True)
    definitions = top["$defs"]
    rules = {m.__name__: m.rules for m in _models_in(model)}
    return _structural({"$ref": f"#/$defs/{model.__name__}"}, definitions, rules, with_defaults)


def _models_in(annotation: Any, seen: set[type] | None = None) -> set[type[Contract]]:
    seen = set() if seen is None else seen
    if isinstance(annotation, type) and issubclass(annotation, BaseModel) and annotation not in seen:
        seen.add(annotation)
        for field in annotation.model_fields.values():
            _models_in(field.annotation, seen)
    for inner in get_args(annotation):
        _models_in(inner, seen)
    return {m for m in seen if issubclass(m, Contract)}


def _resolve(node: dict[str, Any], definitions: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Inline references and optional unions; return the plain node and the names that it went through."""
    node, names = dict(node), []
    while "$ref" in node or "anyOf" in node or "allOf" in node:
        if "$ref" in node:
            names.append(node.pop("$ref").rsplit("/", 1)[-1])
            node = {**definitions[names[-1]], **node}
            continue
        options = node.pop("anyOf", None) or node.pop("allOf")
        real = [option for option in options if option.get("type") != "null"]
        if len(real) != 1:
            raise TypeError(f"a union has no structural schema: {options}")
        node = {**real[0], **node}
    return node, names


def _plain(node: dict[str, Any], with_defaults: bool) -> dict[str, Any]:
    """Return type, bounds, enum, description and default in OpenAPI v3.0 words."""
    out: dict[str, Any] = {}
    if node.get("description"):
        out["description"] = node["description"]
    if "const" in node:
        out["enum"] = [node["const"]]
    for key, value in node.items():
        if key in _DROP or key in ("description", "default", "properties", "items"):
            continue
        if key in ("exclusiveMinimum", "exclusiveMaximum"):
            out[key.replace("exclusiveM", "m")] = value
            out[key] = True
        else:
            out[key] = value
    if with_defaults and node.get("default") is not None:
        out["default"] = _without_nulls(node["default"])
    return out


def _structural(
    node: dict[str, Any], definitions: dict[str, Any], rules: dict[str, Any], with_defaults: bool
) -> dict[str, Any]:
    node, names = _resolve(node, definitions)
    out = _plain(node, with_defaults)

    def child(inner: dict[str, Any]) -> dict[str, Any]:
        return _structural(inner, definitions, rules, with_defaults)

    if node.get("type") == "object" and "properties" not in node:
        extra = node.get("additionalProperties")
        if isinstance(extra, dict) and extra:
            out["additionalProperties"] = child(extra)
        else:
            out["x-kubernetes-preserve-unknown-fields"] = True
    if "properties" in node:
        out["properties"] = {name: child(inner) for name, inner in node["properties"].items()}
    if "items" in node:
        out["items"] = child(node["items"])
    attached = [{"rule": r.cel, "message": r.message} for name in names for r in rules.get(name, ())]
    if attached and with_defaults:
        out["x-kubernetes-validations"] = attached
    return out


def _without_nulls(default: Any) -> Any:
    """Leave out what is not set: the API server refuses a null where a field is not nullable."""
    if isinstance(default, dict):
        return {key: _without_nulls(value) for key, value in default.items() if value is not None}
    if isinstance(default, list):
        return [_without_nulls(value) for value in default]
    return default
