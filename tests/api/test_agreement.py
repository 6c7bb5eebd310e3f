"""``secateur validate``, a dry run on the API server and the operator take and refuse the same files.

Each document of this folder goes through all three. What is refused is refused at the same field; what is
taken means the same.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from secateur_api import InvalidResource
from secateur_api.conditions import ConditionType, Phase, Reason
from secateur_operator.cli import app
from secateur_operator.document import read_job
from secateur_operator.domain import conditions
from tests.api.bounds import beyond_bounds
from tests.api.documents import FULL, MINIMAL, as_read, job, largest
from tests.api.rules import CASES
from tests.api.server import Refused, Server, problems
from tests.api.test_defaults import EXAMPLES
from tests.control_plane.fake_cluster import FakeCluster
from tests.unit.control.jobs import START, all_well, pass_over

pytestmark = pytest.mark.api


@dataclass(frozen=True)
class Case:
    """A file, and the field at which it is refused; none: it is taken; empty: it is no YAML for us."""

    name: str
    text: str
    at: str | None = None


def _case(name: str, document: dict[str, Any], at: str | None = None) -> Case:
    return Case(name, json.dumps(document), at)


_EMPTY = {"sensitivity": {}, "fineTune": {"distillation": {}}, "benchmark": [{}], "resources": [{}]}
_INPUTS = [{"name": "image", "shape": [1, 1, 32, 32]}]


def _documents() -> Iterator[Case]:
    yield _case("minimal", job(MINIMAL))
    yield _case("empty parts", job(MINIMAL, {**_EMPTY, "template": {}}))
    yield _case("every field", job(FULL))
    yield _case("the longest name", job(MINIMAL, name="a" * 52))
    for file, document in EXAMPLES:
        yield _case(f"example {file.stem}", document)
    for rule in CASES:
        yield _case(f"kept: {rule}", job(MINIMAL, rule.kept))
        yield _case(f"broken: {rule}", job(MINIMAL, rule.broken), rule.where)
    for broken, path, document in beyond_bounds():
        yield _case(f"beyond: {broken}", document, path)
    for name in ("a.b.c", "a" * 53, "Digits", "-a"):
        yield _case(f"name {name}", job(MINIMAL, name=name), "metadata.name")
    for path, field in (("spec", "fine_tune"), ("spec.pruning", "prunning"), ("spec.model", "dType")):
        document = copy.deepcopy(job(MINIMAL))
        at: Any = document
        for part in path.split("."):
            at = at[part]
        at[field] = {}
        yield _case(f"unknown {field}", document, f"{path}.{field}")
    labelled = job(MINIMAL)
    labelled["metadata"]["labels"] = {"number": 1}
    # kubectl names the field
    yield Case("a label that is no text", yaml.safe_dump(labelled), "metadata.labels.number")


_WRITTEN = {
    "exponent": "1e-3",
    "large exponent": "5E+3",
    "whole float": "2.0",
    "underscores": "1_000",
    "octal": "0o17",
    "old octal": "017",
    "hexadecimal": "0xff",
    "yes": "yes",
    "off": "Off",
    "nothing": "~",
    "date": "2024-02-30",
    "clock": "12:30:45",
    "the largest whole number": "9223372036854775807",
    "a text with an escape": '"\\u00e9\\x41"',
    "keys that are no text": "{1: one, 2.5: half}",
}
"""What may stand in a file, as an argument of the factory."""


def _as_written() -> Iterator[Case]:
    text = yaml.safe_dump(job(MINIMAL, {"model.args": {"value": "HERE"}}))
    for name, value in _WRITTEN.items():
        yield Case(f"written: {name}", text.replace("HERE", value))
    for name, value in {"infinity": ".inf", "half a character": r'"\uD800"', "set": "!!set {a, b}"}.items():
        yield Case(f"written: {name}", text.replace("HERE", value), "")
    yield Case("written: a key twice", text.replace("spec:\n", "spec:\n  seed: 1\n  seed: 2\n"), "")
    rate = yaml.safe_dump(job(MINIMAL, {"model.pretrain.learningRate": "HERE"}))
    yield Case("written: a learning rate", rate.replace("HERE", "1e-3"))


CASES_OF_ALL = [*_documents(), *_as_written()]


def _validate(file: Path) -> tuple[bool, str]:
    done = CliRunner().invoke(app, ["validate", str(file)])
    assert done.exit_code in (0, 2), done.exception
    assert isinstance(done.exception, SystemExit | None), done.exception
    return done.exit_code == 0, done.output


def _parsed(text: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(text) if text.startswith("{") else yaml.safe_load(text)
    return found


def _server(server: Server, text: str) -> tuple[dict[str, Any] | None, set[str] | str]:
    """Return what the server would store, or the fields it refuses; its words, where it names them freely."""
    try:
        if text.startswith("{"):
            return server.accepts(json.loads(text)), set()
        # kubectl reads the file, which has ways to write that YAML knows and JSON doesn't
        answer = server.kubectl("create", "--dry-run=server", "-o", "json", "-f", "-", stdin=text)
    except Refused as refused:
        said = str(refused)
        return None, set(problems(said)) if "is invalid: " in said else said
    stored: dict[str, Any] = json.loads(answer)
    return stored, set()


def _operator(document: dict[str, Any]) -> str | None:
    """Return why the operator refuses the spec; None if it begins."""
    cluster = FakeCluster(all_well, START)
    key = cluster.apply(document)
    pass_over(cluster, key)
    status = cluster.status(key)
    if status.phase is not Phase.FAILED:
        return None
    assert conditions.reason(status, ConditionType.STALLED) == Reason.INVALID_SPEC
    return status.message


@pytest.mark.parametrize("case", CASES_OF_ALL, ids=lambda case: case.name)
def test_three_readers_agree(server: Server, tmp_path: Path, case: Case) -> None:
    file = tmp_path / "job.yaml"
    file.write_text(case.text)
    is_valid, said = _validate(file)
    stored, refused = _server(server, case.text)
    if case.at is None:
        assert is_valid, said
        assert stored is not None, refused
        assert as_read(stored) == read_job(file).spec.to_wire(), "it means something else there"
        assert _operator(stored) is None
        return
    assert not is_valid
    if case.at == "":  # kubectl guesses at some: of a key that is there twice it takes the last
        return
    assert stored is None
    with pytest.raises(InvalidResource) as invalid:
        read_job(file)
    assert {one.path for one in invalid.value.problems} == {case.at}
    assert case.at in refused or re.search(rf"\b{re.escape(case.at.rpartition('.')[0])}\b", str(refused))
    assert _operator(_parsed(case.text)) == str(invalid.value)


@pytest.mark.parametrize(
    ("document", "words"),
    [
        pytest.param(job(largest()), "32768 are allowed", id="longer than may be"),
        pytest.param(
            job(MINIMAL, {"model.args": {"value": 2**63}}),
            "spec.model.args.value: 9223372036854",
            id="a number that the server rounds",
        ),
    ],
)
def test_what_the_schema_cannot_say_the_operator_says_as_validate_does(
    server: Server, tmp_path: Path, document: dict[str, Any], words: str
) -> None:
    file = tmp_path / "job.yaml"
    file.write_text(json.dumps(document))
    is_valid, said = _validate(file)
    assert not is_valid
    assert words in said
    stored, _ = _server(server, file.read_text())
    assert stored is not None
    assert words in str(_operator(stored))
