"""Stages as real pods: a small container that writes its stage's message and ends."""

from __future__ import annotations

from typing import Any

from tests.bench.cluster.workload import Step, messages

MESSAGES = "bench-messages"
"""The ConfigMap: one message per step."""
_FOLDER = "/bench"
_SCRIPT = f'exec cat "{_FOLDER}/$BENCH_STAGE$BENCH_ROUND" > /dev/termination-log'


def config_map() -> dict[str, Any]:
    """Return the ConfigMap."""
    data = {_file(step): text for step, text in messages().items()}
    return {"metadata": {"name": MESSAGES}, "data": data}


def template() -> dict[str, Any]:
    """Return ``spec.template``: what the container runs instead of a stage."""
    container = {
        "name": "stage",
        "command": ["/bin/sh", "-c", _SCRIPT],
        "env": [_label("BENCH_STAGE", "secateur.dev/stage"), _label("BENCH_ROUND", "secateur.dev/round")],
        "volumeMounts": [{"name": MESSAGES, "mountPath": _FOLDER}],
    }
    volume = {"name": MESSAGES, "configMap": {"name": MESSAGES}}
    user = {"runAsUser": 65534}  # nobody: an image that is not ours may start as root, which is refused
    return {"spec": {"containers": [container], "volumes": [volume], "securityContext": user}}


def _file(step: Step) -> str:
    return f"{step.stage.value}{step.round or ''}"


def _label(variable: str, label: str) -> dict[str, Any]:
    return {"name": variable, "valueFrom": {"fieldRef": {"fieldPath": f"metadata.labels['{label}']"}}}
