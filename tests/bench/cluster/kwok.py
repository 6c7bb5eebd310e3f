"""Pods without containers: kwok plays the kubelet of one pretended node and ends each pod as its stage would.

kwok (https://kwok.sigs.k8s.io) sets pod status by templates. Job controller, scheduler and operator are real.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from secateur_api.stage import PROGRESS_PREFIX, Progress
from tests.bench.cluster.workload import Step, messages
from tests.control_plane.plane import ControlPlane
from tests.control_plane.processes import Process

NODE = "bench-kwok"
_MINE = "kwok.x-k8s.io/node=fake"

_STARTED = """
startTime: {{ Now | Quote }}
hostIP: {{ NodeIPWith .spec.nodeName | Quote }}
podIP: {{ PodIPWith .spec.nodeName false .metadata.uid .metadata.name .metadata.namespace | Quote }}
conditions:
- {type: Initialized, status: "True", lastTransitionTime: {{ Now | Quote }}}
- {type: Ready, status: "True", lastTransitionTime: {{ Now | Quote }}}
- {type: ContainersReady, status: "True", lastTransitionTime: {{ Now | Quote }}}
containerStatuses:
{{ range .spec.containers }}
- name: {{ .name | Quote }}
  image: {{ .image | Quote }}
  ready: true
  restartCount: 0
  state: {running: {startedAt: {{ Now | Quote }}}}
{{ end }}
phase: Running
"""
_ENDED = """
{{ $root := . }}
conditions:
- {type: Ready, status: "False", reason: PodCompleted, lastTransitionTime: {{ Now | Quote }}}
- {type: ContainersReady, status: "False", reason: PodCompleted, lastTransitionTime: {{ Now | Quote }}}
containerStatuses:
{{ range .spec.containers }}
- name: {{ .name | Quote }}
  image: {{ .image | Quote }}
  ready: false
  restartCount: 0
  state:
    terminated:
      exitCode: 0
      reason: Completed
      startedAt: {{ $root.status.startTime | Quote }}
      finishedAt: {{ Now | Quote }}
      message: MESSAGE
{{ end }}
phase: Succeeded
"""


def node() -> dict[str, Any]:
    """Return the pretended node: room for every pod of a benchmark."""
    room = {"cpu": "100k", "memory": "100Ti", "pods": "100k", "nvidia.com/gpu": "100k"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": NODE, "annotations": dict([_MINE.split("=")])},
        "status": {"allocatable": room, "capacity": room},
    }


def stages(run_seconds: float) -> list[dict[str, Any]]:
    """Return kwok's rules for pods: start at once, end after some seconds with the step's message, delete."""
    gone = {"finalizers": {"empty": True}, "delete": True}
    return [
        _stage("start", [("phase", "In", ["Pending"])], {"statusTemplate": _STARTED}),
        *(_end(step, text, run_seconds) for step, text in messages().items()),
        _stage("delete", [("deletionTimestamp", "Exists", [])], gone),
    ]


def _end(step: Step, message: str, seconds: float) -> dict[str, Any]:
    # a JSON string is a YAML string, and kwok's templates leave it alone: no message has two braces in a row
    template = _ENDED.replace("MESSAGE", json.dumps(message))
    rule = _stage(f"end-{step}", [("phase", "In", ["Running"])], {"statusTemplate": template})
    labels = {"secateur.dev/stage": step.stage.value}
    if step.round is not None:
        labels["secateur.dev/round"] = str(step.round)
    rule["spec"]["selector"]["matchLabels"] = labels
    rule["spec"]["delay"] = {"durationMilliseconds": int(1000 * seconds)}
    return rule


def _stage(name: str, conditions: list[tuple[str, str, list[str]]], then: dict[str, Any]) -> dict[str, Any]:
    where = {"phase": ".status.phase", "deletionTimestamp": ".metadata.deletionTimestamp"}
    found = [
        {"key": where[key], "operator": operator} | ({"values": values} if values else {})
        for key, operator, values in conditions
    ]
    if conditions[0][0] == "phase":
        found.append({"key": where["deletionTimestamp"], "operator": "DoesNotExist"})
    return {
        "apiVersion": "kwok.x-k8s.io/v1alpha1",
        "kind": "Stage",
        "metadata": {"name": name},
        "spec": {
            "resourceRef": {"apiGroup": "v1", "kind": "Pod"},
            "selector": {"matchExpressions": found},
            "next": then,
        },
    }


def logs(file: Path) -> dict[str, Any]:
    """Return kwok's rule for logs: every pod has this one."""
    return {
        "apiVersion": "kwok.x-k8s.io/v1alpha1",
        "kind": "ClusterLogs",
        "metadata": {"name": "progress"},
        "spec": {"logs": [{"logsFile": str(file)}]},
    }


@contextmanager
def running(plane: ControlPlane, folder: Path, port: int, run_seconds: float) -> Iterator[None]:
    """Run kwok over the pretended node, its kubelet on that port; rules and logs are in ``folder``."""
    rules, log = folder / "kwok.yaml", folder / "pods.log"
    rules.write_text(yaml.safe_dump_all([*stages(run_seconds), logs(log)]))
    certificate = plane.authority
    command = ["kwok", f"--kubeconfig={plane.kubeconfig}", f"--config={rules}", "--node-ip=127.0.0.1"]
    command += ["--node-lease-duration-seconds=40"]
    command += [f"--manage-nodes-with-annotation-selector={_MINE}", f"--node-port={port}"]
    command += [f"--tls-cert-file={certificate}", f"--tls-private-key-file={certificate.with_suffix('.key')}"]
    ended = threading.Event()
    talker = threading.Thread(target=_talk, args=(log, ended))
    talker.start()
    process = Process(folder, "kwok", command)
    try:
        yield
    finally:
        process.stop()
        ended.set()
        talker.join()


def _talk(log: Path, ended: threading.Event) -> None:
    """Say that work goes on, once a second."""
    while not ended.wait(1.0):
        now = datetime.now(UTC)
        said = Progress(percent=50.0, step="bench", at=round(now.timestamp(), 1))
        with log.open("a") as file:
            file.write(f"{now.isoformat()} stdout F {PROGRESS_PREFIX}{said.model_dump_json(by_alias=True)}\n")
