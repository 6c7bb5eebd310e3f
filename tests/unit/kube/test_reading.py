"""``secateur fetch --cluster`` against a scripted API server, whose pod sends what the test says."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from secateur_api.storekeeping import LENGTH_BYTES, LINE_PREFIX, REQUEST_VARIABLE, StoreRequest
from secateur_operator import fetch_on_cluster
from secateur_operator.gateway.kube import reading
from secateur_operator.gateway.kube.client import KubeClient
from secateur_operator.gateway.protocol import GatewayError, StoreError
from secateur_operator.gateway.results import ResultsError
from tests.unit.control.jobs import document
from tests.unit.kube.api import Api, Asked

FILES = {
    "units/round-1/aa/checkpoint.safetensors": b"weights" * 40000,
    "units/convert-1/bb/net.onnx": b"",
    "units/report-1/cc/report.html": b"<html>",
}
STOPPED = json.dumps(
    {
        "status": "Failure",
        "message": "command terminated",
        "details": {"causes": [{"reason": "ExitCode", "message": "74"}]},
    }
)
NOT_THERE = f'{LINE_PREFIX}{{"failed": "it is not there"}}\n'.encode()

RUNNING = {"phase": "Running", "containerStatuses": [{"name": "stage", "state": {"running": {}}}]}
UNSCHEDULABLE = {
    "phase": "Pending",
    "conditions": [
        {
            "type": "PodScheduled",
            "status": "False",
            "reason": "Unschedulable",
            "message": "0/1 nodes are available: Insufficient memory.",
        }
    ],
}
NO_IMAGE = {
    "phase": "Pending",
    "containerStatuses": [
        {"name": "stage", "image": "jobs:1", "state": {"waiting": {"reason": "ErrImagePull"}}}
    ],
}


def frames(files: Mapping[str, bytes]) -> bytes:
    """Return files as the data plane sends them, in blocks of at most 100000 bytes."""
    sent = b""
    for content in files.values():
        for start in range(0, len(content), 100000):
            block = content[start : start + 100000]
            sent += len(block).to_bytes(LENGTH_BYTES, "big") + block
        sent += bytes(LENGTH_BYTES)
    return sent


def pruning_job(phase: str, files: Mapping[str, bytes]) -> dict[str, Any]:
    found = document(store={"claim": "artifacts"}, image="jobs:1")
    found["metadata"].update(namespace="team", uid="u", generation=1)
    artifacts = [
        {"kind": "model", "uri": f"pvc://artifacts/{path}", "sha256": hashlib.sha256(content).hexdigest()}
        for path, content in files.items()
    ]
    found["status"] = {
        "phase": phase,
        "percent": 40,
        "message": "told",
        "resolvedSpec": found["spec"],
        "artifacts": artifacts,
    }
    return found


@dataclass
class Cluster(Api):
    """One PruningJob, one pod, and what the pod sends."""

    phase: str = "Succeeded"
    named: Mapping[str, bytes] = field(default_factory=lambda: FILES)
    """What the status names."""
    sent: bytes = frames(FILES)
    stderr: bytes = b""
    end: str = json.dumps({"status": "Success"})
    pods: list[dict[str, Any]] = field(default_factory=lambda: [RUNNING])
    """The pod's status at each look; the last one stays."""
    forbidden: bool = False
    command: list[str] = field(default_factory=list)

    @property
    def left(self) -> int:
        """Jobs that were made and are still there."""
        methods = [one.method for one in self.asked if "/jobs" in one.path]
        return methods.count("POST") - methods.count("DELETE")

    def reply(self, asked: Asked) -> tuple[int, Any]:
        """Answer as an API server does."""
        job = {"name": "secateur-store-1", "namespace": "team", "uid": "j"}
        made = {"metadata": {**job, "creationTimestamp": "2026-01-01T00:00:00Z"}, "spec": {}}
        if "pruningjobs/other" in asked.path:
            return 404, {"kind": "Status", "reason": "NotFound", "message": 'pruningjobs "other" not found'}
        if "pruningjobs" in asked.path:
            return 200, pruning_job(self.phase, self.named)
        if asked.path.endswith("/pods"):
            index = {"batch.kubernetes.io/job-completion-index": "0"}
            meta = {"name": "pod-0", "namespace": "team", "uid": "p", "annotations": index}
            meta["creationTimestamp"] = "2026-01-01T00:00:00Z"
            status = self.pods.pop(0) if len(self.pods) > 1 else self.pods[0]
            return 200, {"items": [{"metadata": meta, "spec": {}, "status": status}]}
        return 200, made

    async def handle(self, request: web.Request) -> web.StreamResponse:  # type: ignore[override]
        """Answer one request; ``exec`` by a websocket, in messages that mind no block."""
        if not request.path.endswith("/pod-0/exec"):
            return await super().handle(request)
        if self.forbidden:
            return web.Response(status=403, text="forbidden")
        self.command = request.query.getall("command")
        socket = web.WebSocketResponse(protocols=("v4.channel.k8s.io",))
        await socket.prepare(request)
        for start in range(0, len(self.stderr), 7):
            await socket.send_bytes(b"\x02" + self.stderr[start : start + 7])
        for start in range(0, len(self.sent), 32768):
            await socket.send_bytes(b"\x01" + self.sent[start : start + 32768])
        await socket.send_bytes(b"\x03" + self.end.encode())
        return socket


def fetch(
    cluster: Cluster, to: Path, monkeypatch: pytest.MonkeyPatch, name: str | None = "digits"
) -> tuple[list[Path], list[str]]:
    """Return the files and what was said meanwhile."""
    said: list[str] = []

    async def scenario() -> list[Path]:
        cluster.answer = cluster.reply
        async with cluster.client() as client:

            async def connect() -> KubeClient:
                return client

            monkeypatch.setattr(fetch_on_cluster, "connect", connect)
            _, files = await fetch_on_cluster.fetch_results(name, "team", to, ("pull",), said.append)
            return files

    return asyncio.run(scenario()), said


def test_every_file_comes_as_the_status_names_it_and_the_pod_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = Cluster(lambda _: (0, None))
    files, said = fetch(cluster, tmp_path / "new", monkeypatch)
    assert {file.name: file.read_bytes() for file in files} == {
        path.rsplit("/", 1)[1]: content for path, content in FILES.items()
    }
    assert (said, cluster.left) == ([], 0)
    (made,) = [one.body for one in cluster.asked if one.method == "POST"]
    pod = made["spec"]["template"]["spec"]
    assert pod["imagePullSecrets"] == [{"name": "pull"}]
    told = {one["name"]: one["value"] for one in pod["containers"][0]["env"]}[REQUEST_VARIABLE]
    assert StoreRequest.model_validate_json(told) == StoreRequest(action="read", store="file:///store")
    assert cluster.command[-1].split(",") == list(FILES)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"named": {**FILES, "units/report-1/cc/report.html": b"another"}}, "report.html has sha256"),
        ({"sent": frames(FILES)[:-3], "end": STOPPED}, "stopped before it had sent all: exit code 74"),
        ({"sent": b"", "end": ""}, "the connection was lost"),
        ({"sent": b"", "stderr": NOT_THERE, "end": STOPPED}, "it is not there"),
        ({"sent": b"", "stderr": NOT_THERE[:-9], "end": STOPPED}, "stopped before it had sent all"),
        ({"forbidden": True}, "pods/exec pod-0 in namespace team: who runs this needs the right"),
        ({"pods": [NO_IMAGE]}, "the image 'jobs:1' of pod pod-0 cannot be pulled.*--image-pull-secret"),
    ],
)
def test_nothing_is_copied_where_anything_is_wrong_and_the_pod_goes(
    changes: dict[str, Any], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = Cluster(lambda _: (0, None), **changes)
    with pytest.raises((StoreError, GatewayError, ResultsError), match=said):
        fetch(cluster, tmp_path / "new", monkeypatch)
    assert not list(tmp_path.iterdir())
    assert cluster.left == 0


@pytest.mark.parametrize(
    ("changes", "name", "said"),
    [
        ({"phase": "Running"}, "digits", "digits has not finished: Running, 40% done"),
        ({"named": {}, "phase": "Failed"}, "digits", "digits left no results: told"),
        ({}, "other", '"other" not found; -n names another namespace'),
    ],
)
def test_no_pod_is_made_for_what_cannot_be(
    changes: dict[str, Any], name: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = Cluster(lambda _: (0, None), **changes)
    with pytest.raises((StoreError, ResultsError), match=said):
        fetch(cluster, tmp_path / "new", monkeypatch, name)
    assert {one.method for one in cluster.asked} == {"GET"}


def test_what_the_pod_waits_for_is_said_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_LOOK_SECONDS", 0.0)
    cluster = Cluster(lambda _: (0, None), pods=[UNSCHEDULABLE, UNSCHEDULABLE, RUNNING])
    files, said = fetch(cluster, tmp_path / "new", monkeypatch)
    assert len(files) == len(FILES)
    (line,) = said
    assert line.startswith("waiting: no node takes pod pod-0: 0/1 nodes are available: Insufficient memory")


def test_what_the_pod_says_beside_its_answers_is_handed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = f'the store is away\n{LINE_PREFIX}{{"done": true}}\n'.encode()
    _, said = fetch(Cluster(lambda _: (0, None), stderr=done), tmp_path / "new", monkeypatch)
    assert said == ["the store is away"]


def test_a_pod_that_does_not_start_is_not_waited_for_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "_LOOK_SECONDS", 0.0)
    monkeypatch.setattr(reading, "_START_SECONDS", 0.3)
    cluster = Cluster(lambda _: (0, None), pods=[UNSCHEDULABLE])
    with pytest.raises(StoreError, match="no running pod after 0 s; no node takes pod pod-0"):
        fetch(cluster, tmp_path / "new", monkeypatch)
    assert cluster.left == 0


def test_a_folder_with_files_in_it_stays_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine").touch()
    cluster = Cluster(lambda _: (0, None))
    with pytest.raises(ResultsError, match="is there already; name a new folder with --to"):
        fetch(cluster, tmp_path, monkeypatch)
    assert [one.name for one in tmp_path.iterdir()] == ["mine"]
    assert {one.method for one in cluster.asked} == {"GET"}
