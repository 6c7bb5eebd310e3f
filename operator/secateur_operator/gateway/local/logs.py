"""What a stage's log tells while the stage runs."""

from __future__ import annotations

import logging
from pathlib import Path

from secateur_api.stage import PROGRESS_PREFIX

_log = logging.getLogger(__name__)
_TAIL_BYTES = 16384
LONGEST_BYTES = 8 << 20
"""A log that grows longer loses its middle."""
_KEPT_BYTES = 1 << 20


def newest_progress(log: Path) -> str | None:
    """Return the newest whole progress line, without its prefix; None if there is none near the end."""
    for line in reversed(_tail(log)):
        if line.startswith(PROGRESS_PREFIX):
            return line.removeprefix(PROGRESS_PREFIX)
    return None


def last_words(log: Path) -> str | None:
    """Return the last line that is no progress; None if there is none near the end."""
    for line in reversed(_tail(log)):
        if line.strip() and not line.startswith(PROGRESS_PREFIX):
            return line.strip()[:300]
    return None


def shorten(log: Path) -> None:
    """Cut the middle out of a log that is longer than :data:`LONGEST_BYTES`, and say so in its place.

    Its writers append, so they go on behind what is left; what they write meanwhile may be lost.
    """
    try:
        size = log.stat().st_size
        if size <= LONGEST_BYTES:
            return
        with log.open("r+b") as file:
            file.seek(size - _KEPT_BYTES)
            end = file.read(_KEPT_BYTES).partition(b"\n")[2]
            file.seek(_KEPT_BYTES)
            file.write(b"\n... %d bytes of this log were left out ...\n" % (size - 2 * _KEPT_BYTES) + end)
            file.truncate()
    except OSError as error:
        _log.warning("cannot shorten the log %s: %s", log, error)


def _tail(log: Path) -> list[str]:
    """Return the last lines, without the part of a line that is still being written or cut at the front."""
    try:
        with log.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - _TAIL_BYTES))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        return []
    lines = text.split("\n")
    return lines[1 if size > _TAIL_BYTES else 0 : -1]
