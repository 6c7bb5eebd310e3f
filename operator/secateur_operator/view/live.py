"""Progress: live on a terminal, as plain lines for logs and pipes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from secateur_api import PruningJob, Stage
from secateur_api.quantity import show_seconds
from secateur_operator.domain.times import seconds_between
from secateur_operator.engine.reconciler import Seen
from secateur_operator.view import words

_EVERY_SECONDS = 2.0
_EVERY_PERCENT = 5.0


class PlainView:
    """Writes a line for each event, and for progress that has changed enough."""

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
        """Write the events and the progress after a pass."""
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
        left = words.seconds_left(status)
        parts = [
            words.current_metric(seen.job),
            f"about {show_seconds(left)} left" if left is not None else "",
        ]
        said = ", ".join(part for part in parts if part)
        return f" ({said})" if said else ""


class LiveView:
    """Redraws one block: finished stages, the current stage, later stages, and a bar."""

    def __init__(self, console: Console) -> None:
        self._job: PruningJob | None = None
        self._spinner = Spinner("dots", style="cyan")
        self._live = Live(console=console, get_renderable=self._render, refresh_per_second=8, transient=True)

    def __enter__(self) -> LiveView:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def update(self, seen: Seen) -> None:
        """Show the job as it is after a pass."""
        self._job = seen.job

    def _render(self) -> RenderableType:
        if self._job is None:
            return Text("starting", style="dim")
        now = datetime.now(UTC)
        return Group(_header(self._job, now), self._stages(self._job), _bar(self._job))

    def _stages(self, job: PruningJob) -> Table:
        status = job.status
        table = Table.grid(padding=(0, 1))
        table.add_column(width=1)
        table.add_column(min_width=12, no_wrap=True)
        table.add_column(justify="right", min_width=8, no_wrap=True)
        table.add_column(overflow="ellipsis", no_wrap=True)
        for done in status.stages:
            accepted = done.name is not Stage.ROUND or status.rounds[(done.round or 1) - 1].accepted
            mark = Text("✔", style="green") if accepted else Text("↩", style="yellow")
            table.add_row(mark, words.title(done), words.took(done), words.stage_result(status, done))
        if status.stage is not None:
            step = Text(_step(job), style="cyan")
            table.add_row(self._spinner, Text(words.title(status.stage), style="bold"), "", step)
        for name in _to_come(job):
            table.add_row("", Text(name, style="dim"), "", "")
        return table


def _header(job: PruningJob, now: datetime) -> Text:
    text = Text(job.metadata.name, style="bold")
    if job.status.run > 1:
        text.append(f"  run {job.status.run}", style="dim")
    if job.status.started_at is not None:
        text.append(f"  {show_seconds(seconds_between(job.status.started_at, now))}", style="dim")
    return text


def _step(job: PruningJob) -> str:
    status = job.status
    if status.stage is not None and status.stage.not_before is not None and status.progress is None:
        return status.message
    if status.progress is None:
        return "starting"
    live = status.progress
    parts = [f"{live.percent:.0f}%", live.step]
    return "  ".join(filter(None, [*parts, words.current_metric(job)]))


def _to_come(job: PruningJob) -> Iterator[str]:
    """Name the stages that are still to run; all rounds are one word, because their number is not known."""
    seen = {done.name for done in job.status.stages}
    current = job.status.stage.name if job.status.stage else None
    reached = list(Stage).index(current) if current else -1
    preflight = job.status.preflight
    for index, stage in enumerate(Stage):
        if stage in seen or index <= reached:
            continue
        if stage is Stage.SENSITIVITY and preflight is not None and not preflight.needs_sensitivity:
            continue
        if not job.spec.wants(stage):
            continue
        yield "rounds" if stage is Stage.ROUND else stage.value


def _bar(job: PruningJob) -> Table:
    table = Table.grid(padding=(0, 1))
    left = words.seconds_left(job.status)
    table.add_row(
        ProgressBar(total=100, completed=job.status.percent, width=40),
        f"{job.status.percent:.0f}%",
        Text(f"about {show_seconds(left)} left" if left is not None else "", style="dim"),
    )
    return table
