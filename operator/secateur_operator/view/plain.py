"""Progress as plain lines, for logs and pipes."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType

from secateur_api.quantity import show_seconds
from secateur_operator.engine.reconciler import Seen
from secateur_operator.view import words

_EVERY_SECONDS = 2.0
_EVERY_PERCENT = 5.0


class PlainView:
    """Writes a line for each event, and for progress when it has moved."""

    def __init__(self, write: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._write = write
        self._clock = clock
        self._said = ("", -_EVERY_PERCENT)
        self._at = float("-inf")

    def __enter__(self) -> PlainView:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def update(self, seen: Seen) -> None:
        """Tell what a pass ended with."""
        status = seen.job.status
        for event in seen.events:
            self._write(f"[{status.percent:3.0f}%] {event.message}")
        if status.stage is None or status.progress is None:
            return
        step = f"{words.title(status.stage)}: {status.progress.step}"
        kind, said = self._said
        is_new = step.rsplit(" ", 1)[0] != kind or status.progress.percent >= said + _EVERY_PERCENT
        if not is_new or self._clock() < self._at + _EVERY_SECONDS:
            return
        self._said, self._at = (step.rsplit(" ", 1)[0], status.progress.percent), self._clock()
        self._write(f"[{status.percent:3.0f}%] {step}{self._details(seen)}")

    @staticmethod
    def _details(seen: Seen) -> str:
        status = seen.job.status
        metric = words.current_metric(status)
        left = words.seconds_left(status)
        parts = [
            f"{words.metric_name(seen.job)} {metric:.4g}" if metric is not None else "",
            f"about {show_seconds(left)} left" if left is not None else "",
        ]
        said = ", ".join(part for part in parts if part)
        return f" ({said})" if said else ""
