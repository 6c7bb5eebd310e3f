"""What a stage's log tells while the stage runs."""

from __future__ import annotations

from pathlib import Path

from secateur_api.stage import PROGRESS_PREFIX

_TAIL_BYTES = 16384


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
