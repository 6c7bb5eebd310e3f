"""Names of Jobs: a function of what they are for, so that the same Job is never made under two names."""

from __future__ import annotations

import hashlib

from secateur_api import Stage

LIMIT = 52
"""Longest Job name: a pod's host name is ``<job>-<index>`` and may have 63 characters."""


def child_name(
    job: str,
    uid: str,
    run: int,
    stage: Stage,
    round_number: int | None,
    attempt: int,
    recall: bool = False,
) -> str:
    """Name the Job of one attempt at a stage: ``digits-round-2-a1-0f3c9a7b``."""
    kind = stage.value if round_number is None else f"{stage.value}-{round_number}"
    kind = f"recall-{kind}" if recall else kind
    identity = f"{uid}/{run}/{kind}/{attempt}"
    tail = f"-{kind}-a{attempt}-{hashlib.sha256(identity.encode()).hexdigest()[:8]}"
    return job[: LIMIT - len(tail)].rstrip("-") + tail
