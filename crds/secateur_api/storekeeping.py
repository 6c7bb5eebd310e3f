"""What ``python -m secateur_jobs store`` is told, and the lines that it answers with."""

from __future__ import annotations

from typing import Literal

from secateur_api.base import Contract

REQUEST_VARIABLE = "SECATEUR_STORE_REQUEST"
"""A :class:`StoreRequest` as JSON; where it is not set, it is read from standard input."""
LINE_PREFIX = "secateur-store: "
"""Before each answer, so that it is told from other output in a pod's log."""

Action = Literal["list", "verify", "gc", "read"]
LENGTH_BYTES = 4
"""``read`` sends files on standard output, one after the other, each in blocks: a block's length (big-endian)
and the block; length 0 ends a file. The answers go to standard error."""


class StoreRequest(Contract):
    """One look at a store, one clearing, or one reading."""

    action: Action
    store: str
    """fsspec URI."""
    units: list[str] = []
    """``verify``: these (none: all); ``gc``: these are named by a job and stay; ``read``: paths of files."""
    before: float = 0.0
    """``gc``: what was written after this moment (seconds since 1970) stays."""
    dry_run: bool = False


class Kept(Contract):
    """One unit."""

    unit: str
    stage: str | None = None
    files: int
    bytes: int
    modified: float
    """Its newest file, seconds since 1970."""
    damage: str = ""
    """What is wrong with it."""


class Cleared(Contract):
    """What ``gc`` removed of one unit or folder; or would have."""

    name: str
    files: int
    bytes: int


class Answer(Contract):
    """One line of the answer; the last one says ``done`` or ``failed``."""

    kept: Kept | None = None
    cleared: Cleared | None = None
    done: bool = False
    failed: str | None = None
    """Why it could not be done, in one sentence."""
    retryable: bool = False
