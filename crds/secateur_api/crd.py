"""The CustomResourceDefinition, generated from the models: one source for Python and the API server."""

from __future__ import annotations

from typing import Any, get_args

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from secateur_api.base import GROUP, KIND, VERSION, Contract
from secateur_api.conditions import Phase
from secateur_api.resource import NAME_MESSAGE, NAME_PATTERN
from secateur_api.spec import MUTABLE, PruningJobSpec
from secateur_api.status import PruningJobStatus

_COLUMNS: tuple[tuple[str, str, str, int], ...] = (
    # name, type, path, priority (1: only with -o wide)
    ("Phase", "string", ".status.phase", 0),
    ("Reason", "string", '.status.conditions[?(@.type=="Reconciling")].reason', 0),
    ("Stage", "string", ".status.stage.name", 0),
    ("Round", "integer", ".status.printed.round", 0),
    ("Progress", "string", ".status.printed.progress", 0),
    ("Metric", "string", ".status.printed.metric", 0),
    ("Drop", "string", ".status.printed.drop", 0),
    ("MACs cut", "string", ".status.printed.macsCut", 0),
    ("Speed-up", "string", ".status.printed.speedup", 0),
    ("Age", "date", ".metadata.creationTimestamp", 0),
    ("Message", "string", ".status.message", 1),
)
_LIST_KEYS = {"conditions": ["type"]}
"""Lists whose entries are told apart by a field, so that several writers can share them."""
_ANYTHING = {"x-kubernetes-preserve-unknown-fields": True, "nullable": True}
_RUNNING = (Phase.PENDING, Phase.RUNNING)
FROZEN_MESSAGE = (
    "cannot change while the job runs; set spec.suspend to true, wait for phase Suspended, then change it; "
    "or delete the job"
)
_NAME = {
    "rule": f"self.metadata.name.matches('{NAME_PATTERN}')",
    "message": NAME_MESSAGE,
    "fieldPath": ".metadata.name",
}
UNSEEN_STATUS = {"observedGeneration": -1}
"""Of a resource that no operator has seen: by kstatus' rules no status at all would mean that all is done."""
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
                        {"name": name, "type": kind, "jsonPath": path, "priority": priority}
                        for name, kind, path, priority in _COLUMNS
                    ],
                    "schema": {
                        "openAPIV3Schema": {
                            "description": "Make a PaddlePaddle model smaller and prove it.",
                            "type": "object",
                            "required": ["spec"],
                            "properties": {
                                "apiVersion": {"type": "string"},
                                "kind": {"type": "string"},
                                "metadata": {"type": "object", "properties": {"name": {"type": "string"}}},
                                "spec": schema_of(PruningJobSpec),
                                "status": {
                                    **schema_of(PruningJobStatus, with_defaults=False),
                                    "default": UNSEEN_STATUS,
                                },
                            },
                            "x-kubernetes-validations": [_NAME, *map(_frozen, frozen_fields())],
                        }
                    },
                }
            ],
        },
    }


def frozen_fields() -> list[str]:
    """Name the fields of the spec that may not change while a job runs."""
    names = [field.alias or name for name, field in PruningJobSpec.model_fields.items()]
    return [name for name in names if name not in MUTABLE]


def _frozen(name: str) -> dict[str, str]:
    """Return the transition rule of one field; one rule each, so that the error names the field."""
    runs = (
        "has(oldSelf.status) && has(oldSelf.status.phase) && "
        f"oldSelf.status.phase in [{', '.join(repr(phase.value) for phase in _RUNNING)}]"
    )
    same = (
        f"has(self.spec.{name}) == has(oldSelf.spec.{name}) && "
        f"(!has(self.spec.{name}) || self.spec.{name} == oldSelf.spec.{name})"
    )
    return {
        "rule": f"!({runs}) || ({same})",
        "message": FROZEN_MESSAGE,
        "fieldPath": f".spec.{name}",
        "reason": "FieldValueForbidden",
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
        # not preserve-unknown-fields on the object itself: CEL then calls it equal when a key was renamed
        out["additionalProperties"] = child(extra) if isinstance(extra, dict) and extra else dict(_ANYTHING)
    if "properties" in node:
        out["properties"] = {name: child(inner) for name, inner in node["properties"].items()}
        for name, keys in _LIST_KEYS.items():
            if name in out["properties"]:
                out["properties"][name] |= {
                    "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": keys,
                }
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
