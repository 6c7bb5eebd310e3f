"""The end of a stage pod's log: its newest progress line, its last words."""

from __future__ import annotations

from secateur_api.stage import PROGRESS_PREFIX
from secateur_operator.gateway.kube import names
from secateur_operator.gateway.kube.client import KubeClient
from secateur_operator.gateway.kube.kinds import PODS

TIMEOUT_SECONDS = 5.0
_TAIL = {"container": names.STAGE_CONTAINER, "tailLines": "40", "limitBytes": "65536"}
_LONGEST = 300
"""Longest line that is shown."""


async def tail(client: KubeClient, namespace: str, pod: str) -> str:
    """Read the end of a pod's log; raises GatewayError."""
    return await client.text(PODS, namespace, pod, "log", _TAIL, timeout=TIMEOUT_SECONDS)


def newest_progress(text: str) -> str | None:
    """Return the last progress line, without its prefix. Pure."""
    lines = [line for line in text.splitlines() if line.startswith(PROGRESS_PREFIX)]
    return lines[-1].removeprefix(PROGRESS_PREFIX) if lines else None


def last_line(text: str) -> str | None:
    """Return the last line that says something else than progress. Pure."""
    lines = [line.strip() for line in text.splitlines() if not line.startswith(PROGRESS_PREFIX)]
    said = [line for line in lines if line]
    return said[-1][:_LONGEST] if said else None
