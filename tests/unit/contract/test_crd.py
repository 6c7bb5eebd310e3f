"""The checked-in CRD: what the API server will see."""

from pathlib import Path
from typing import Any

import yaml

import secateur_api.spec
from secateur_api.base import Contract
from secateur_api.crd import crd, schema_of
from secateur_api.spec import PruningJobSpec

CHECKED_IN = Path(__file__).parents[3] / "crds" / "secateur.dev_pruningjobs.yaml"


def walk(node: dict[str, Any], path: str = ""):
    yield path, node
    for name, child in node.get("properties", {}).items():
        yield from walk(child, f"{path}.{name}")
    if "items" in node:
        yield from walk(node["items"], f"{path}[]")


def test_the_checked_in_crd_is_the_generated_one():
    assert yaml.safe_load(CHECKED_IN.read_text()) == crd()


def test_every_node_has_one_type_as_a_structural_schema_demands():
    version = crd()["spec"]["versions"][0]
    for path, node in walk(version["schema"]["openAPIV3Schema"]):
        one_type = isinstance(node.get("type"), str) or node.get("x-kubernetes-int-or-string") is True
        assert one_type, path
        assert not {"anyOf", "allOf", "oneOf", "$ref"} & set(node), path


def test_every_spec_field_is_described():
    for path, node in walk(schema_of(PruningJobSpec)):
        if not path.endswith("]"):
            assert node.get("description"), path


def test_every_rule_of_the_models_reaches_the_crd():
    schema = schema_of(PruningJobSpec)
    found = {r["message"] for _, node in walk(schema) for r in node.get("x-kubernetes-validations", [])}
    declared = {
        rule.message
        for model in vars(secateur_api.spec).values()
        if isinstance(model, type) and issubclass(model, Contract)
        for rule in model.rules
    }
    assert found == declared  # weights' rule is there twice: of the model and of its teacher


def test_no_default_is_null_where_the_api_server_would_refuse_it():
    def nulls(value: Any) -> bool:
        if isinstance(value, dict):
            return any(nulls(v) for v in value.values())
        return any(nulls(v) for v in value) if isinstance(value, list) else value is None

    for path, node in walk(schema_of(PruningJobSpec)):
        assert not nulls(node.get("default", "")), path
