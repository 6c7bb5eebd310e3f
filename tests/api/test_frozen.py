"""What of the spec may change when: only what is safe while a job runs, everything while it does not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from secateur_api import parse_job
from secateur_api.crd import FROZEN_MESSAGE, frozen_fields
from secateur_api.spec import MUTABLE, PruningJobSpec
from tests.api.documents import FULL, MINIMAL, job
from tests.api.server import Refused, Server, problems

pytestmark = pytest.mark.api

OTHER: dict[str, Any] = {
    "model": {**FULL["model"], "factory": "zoo:other"},
    "data": {**FULL["data"], "factory": "zoo:other"},
    "evaluation": {"metric": "top5_accuracy"},
    "constraints": FULL["constraints"][:2],
    "sensitivity": {"shards": 5},
    "pruning": {**FULL["pruning"], "align": 4},
    "fineTune": {"epochs": 4},
    "convert": FULL["convert"][1:],
    "quantize": {"weights": "int16"},
    "benchmark": [{"format": "onnx", "runs": 300}],
    "budget": {"wallClock": "2h"},
    "seed": 8,
    "fresh": "2026-11-27",
    "code": {"uri": "s3://code/mine.zip", "sha256": "ef" * 32},
    "image": "registry.example/mine:2",
    "store": {"uri": "s3://bucket/other"},
    "resources": [{"memory": "8Gi"}],
    "queue": "others",
    "template": {"spec": {"priorityClassName": "high"}},
    "suspend": True,
}
"""Another value of each field."""
RUNNING = ("Pending", "Running")
REFUSAL = f"Forbidden: {FROZEN_MESSAGE}"
OPTIONAL = ("code", "image", "store", "fresh")
"""Frozen fields that may be absent."""


class Job:
    """A PruningJob on the server; changes to it are tried, and not kept."""

    def __init__(self, server: Server, namespace: str, name: str, spec: dict[str, Any], phase: str) -> None:
        self._server, self._where = server, ("pruningjob", name, "-n", namespace)
        server.kubectl("create", "-n", namespace, "-f", "-", document=job(spec, name=name))
        self._patch({"status": {"phase": phase}}, "--subresource=status")

    def change(self, **fields: Any) -> dict[str, str]:
        """Change fields of the spec (None removes); return what the server says against it."""
        try:
            self._patch({"spec": fields}, "--dry-run=server")
        except Refused as refused:
            return problems(str(refused))
        return {}

    def change_argument(self, operation: dict[str, Any]) -> dict[str, str]:
        """Change ``model.args`` by a JSON patch."""
        at = {key: f"/spec/model/args{operation[key]}" for key in ("path", "from") if key in operation}
        try:
            self._patch([{**operation, **at}], "--dry-run=server", kind="json")
        except Refused as refused:
            return problems(str(refused))
        return {}

    def _patch(self, patch: Any, *options: str, kind: str = "merge") -> None:
        self._server.kubectl("patch", *self._where, f"--type={kind}", "-p", json.dumps(patch), *options)


@pytest.fixture(scope="module")
def running(server: Server, namespace: str) -> Job:
    """A job that runs, with every field set."""
    return Job(server, namespace, "running", FULL, "Running")


def test_every_field_is_frozen_or_safe_to_change() -> None:
    names = {field.alias or name for name, field in PruningJobSpec.model_fields.items()}
    assert set(frozen_fields()) | set(MUTABLE) == names == set(OTHER)
    assert not set(frozen_fields()) & set(MUTABLE)


@pytest.mark.parametrize("phase", RUNNING)
def test_while_a_job_runs_each_frozen_field_is_refused_and_each_other_is_taken(
    server: Server, namespace: str, phase: str
) -> None:
    found = Job(server, namespace, f"is-{phase.lower()}", FULL, phase)
    frozen = {name: OTHER[name] for name in frozen_fields()}
    assert found.change(**frozen) == {f"spec.{name}": REFUSAL for name in frozen}
    assert found.change(**{name: OTHER[name] for name in MUTABLE}) == {}


@pytest.mark.parametrize("phase", ["Suspended", "Succeeded", "Failed", None])
def test_while_it_does_not_run_everything_may_change(
    server: Server, namespace: str, phase: str | None
) -> None:
    found = Job(server, namespace, f"is-{phase or 'new'}".lower(), FULL, phase)
    assert found.change(**OTHER) == {}


def test_what_is_absent_cannot_come_while_a_job_runs_and_what_is_there_cannot_go(
    server: Server, namespace: str, running: Job
) -> None:
    bare = Job(server, namespace, "bare", MINIMAL, "Running")
    expected = {f"spec.{name}": REFUSAL for name in OPTIONAL}
    assert bare.change(**{name: OTHER[name] for name in OPTIONAL}) == expected
    assert running.change(**dict.fromkeys(OPTIONAL)) == expected


def test_a_default_may_be_written_out_while_a_job_runs(server: Server, namespace: str) -> None:
    spoken = Job(server, namespace, "spoken", MINIMAL, "Running")
    resolved = parse_job(job(MINIMAL)).spec.to_wire()
    written = {name: resolved[name] for name in frozen_fields() if name in resolved and name not in MINIMAL}
    assert {"evaluation", "sensitivity", "convert", "benchmark"} < set(written)
    assert spoken.change(**written) == {}


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "replace", "path": "/width", "value": 9},
        {"op": "replace", "path": "/deep/list/0", "value": 2},
        {"op": "add", "path": "/extra", "value": 1},
        {"op": "remove", "path": "/width"},
        {"op": "move", "from": "/width", "path": "/height"},
        {"op": "move", "from": "/deep/list", "path": "/deep/other"},
        {"op": "replace", "path": "/nothing", "value": 0},
        {"op": "remove", "path": ""},
    ],
    ids=lambda operation: f"{operation['op']} {operation['path'] or 'all'}",
)
def test_arguments_are_frozen_however_deep(running: Job, operation: dict[str, Any]) -> None:
    """CEL does not see into free-form objects; a renamed argument is what it could miss."""
    assert running.change_argument(operation) == {"spec.model": REFUSAL}


def test_the_same_arguments_are_no_change(running: Job) -> None:
    assert running.change_argument({"op": "replace", "path": "/width", "value": 8}) == {}
