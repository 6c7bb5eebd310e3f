"""What the data plane's ``store`` command answers, read back from its output or its pod's log."""

from __future__ import annotations

from collections.abc import Iterable

from secateur_api.storekeeping import LINE_PREFIX, Answer


class StoreError(Exception):
    """The store cannot be looked at; the message says why in one sentence."""


def answers(lines: Iterable[str], last_words: str) -> list[Answer]:
    """Return the answers among lines, the closing one apart; ``last_words`` is said where none says why.

    Raises StoreError if the command did not do all that it was asked.
    """
    found = [
        Answer.model_validate_json(line.removeprefix(LINE_PREFIX))
        for line in lines
        if line.startswith(LINE_PREFIX)
    ]
    if not found or not found[-1].done:
        raise StoreError((found[-1].failed if found else None) or last_words)
    return found[:-1]
