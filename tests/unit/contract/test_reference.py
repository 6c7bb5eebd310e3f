"""The field reference: the checked-in page is the generated one, and it has every field and rule."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from secateur_api.crd import schema_of
from secateur_api.reference import reference
from secateur_api.spec import PruningJobSpec

_CHECKED_IN = Path(__file__).parents[3] / "docs" / "reference.md"


def _objects(path: str, schema: dict[str, Any]) -> dict[str, dict[str, Any]]:
    found = {path: schema}
    for name, field in schema["properties"].items():
        inner = field.get("items", field)
        if "properties" in inner:
            found |= _objects(f"{path}.{name}{'[]' if 'items' in field else ''}", inner)
    return found


def test_the_checked_in_reference_is_the_generated_one() -> None:
    assert _CHECKED_IN.read_text() == reference() + "\n", "run: make generate"


def test_every_field_and_rule_is_in_its_section() -> None:
    sections = dict(re.findall(r"^## `([^`]+)`\n(.*?)(?=^## |\Z)", reference(), re.S | re.M))
    objects = _objects("spec", schema_of(PruningJobSpec))
    assert set(sections) == set(objects)
    for path, schema in objects.items():
        rows = re.findall(r"^\| `(\w+)` \|", sections[path], re.M)
        assert rows == list(schema["properties"]), path
        for rule in schema.get("x-kubernetes-validations", []):
            assert rule["message"].replace("|", "\\|") in sections[path]


def test_every_link_leads_to_a_section() -> None:
    text = reference()
    anchors = {re.sub(r"[^\w-]", "", path.lower()) for path in re.findall(r"^## `([^`]+)`", text, re.M)}
    assert set(re.findall(r"\(#([^)]+)\)", text)) == anchors - {"spec"}


def test_tables_keep_their_columns() -> None:
    rows = [line for line in reference().splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {6}
