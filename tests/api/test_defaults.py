"""What the API server stores of a spec: the defaults that Python has, nothing lost, nothing let through."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from secateur_api import InvalidResource, parse_job
from tests.api.documents import FULL, MINIMAL, as_read, job
from tests.api.server import Refused, Server

pytestmark = pytest.mark.api
_ROOT = Path(__file__).parents[2]
EXAMPLES = [
    (file, document)
    for folder in ("examples", "tests/bench/jobs")
    for file in sorted((_ROOT / folder).rglob("*.yaml"))
    for document in yaml.safe_load_all(file.read_text())
    if document and document["kind"] == "PruningJob"
]
each_example = pytest.mark.parametrize(
    "document", [one for _, one in EXAMPLES], ids=[file.stem for file, _ in EXAMPLES]
)


def _documents() -> list[Any]:
    empty = {
        "sensitivity": {},
        "fineTune": {"distillation": {}},
        "benchmark": [{}],
        "resources": [{}],
        "template": {},
    }
    return [
        pytest.param(job(MINIMAL), id="minimal"),
        pytest.param(job(MINIMAL, empty), id="empty parts"),
        pytest.param(job(FULL), id="every field"),
    ]


@pytest.mark.parametrize("document", _documents())
def test_the_server_writes_out_what_python_takes_as_default(server: Server, document: dict[str, Any]) -> None:
    stored = server.accepts(document)["spec"]
    # a field that is absent or null has no default in either
    assert stored == parse_job(document).spec.to_wire()


@each_example
def test_every_example_is_taken(server: Server, document: dict[str, Any]) -> None:
    assert as_read(server.accepts(document)) == parse_job(document).spec.to_wire()


def test_the_examples_are_found() -> None:
    assert len(EXAMPLES) >= 9


@pytest.mark.parametrize(
    ("path", "name"),
    [("spec", "prunning"), ("spec.pruning.schedule", "roundz"), ("spec.model.inputs[0]", "dType")],
)
def test_an_unknown_field_is_refused(server: Server, path: str, name: str) -> None:
    document = copy.deepcopy(job(FULL))
    at: Any = document
    for part in path.replace("[0]", ".0").split("."):
        at = at[int(part) if part.isdecimal() else part]
    at[name] = 1
    with pytest.raises(
        Refused, match=rf'strict decoding error: unknown field "{path}.{name}"'.replace("[", r"\[")
    ):
        server.accepts(document)
    with pytest.raises(InvalidResource, match=rf"{path}.{name}: unknown field".replace("[", r"\[")):
        parse_job(document)
