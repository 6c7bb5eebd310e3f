"""The final resource as tables: verdict first."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from rich import box
from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from secateur_api import PruningJob, PruningJobStatus
from secateur_api.conditions import ConditionType, Phase
from secateur_api.quantity import show_bytes, show_count, show_seconds
from secateur_api.spec import target_name
from secateur_api.status import ArtifactStatus
from secateur_api.uri import local_path
from secateur_operator.domain import rounds
from secateur_operator.domain.times import moment_of, seconds_between
from secateur_operator.view import words

_COLOUR = {Phase.SUCCEEDED: "green", Phase.FAILED: "red"}


def print_summary(console: Console, job: PruningJob) -> None:
    """Print the verdict, the numbers before and after, constraints, rounds and artifacts."""
    console.print(_verdict(job))
    for part in (_numbers(job), _constraints(job.status), _rounds(job.status)):
        if part is not None:
            console.print(part)
    for line in _artifacts(job.status):
        console.print(line, soft_wrap=True)


def _verdict(job: PruningJob) -> RenderableType:
    status = job.status
    colour = _COLOUR.get(status.phase, "yellow")
    reason = next((c.reason for c in status.conditions if c.type is ConditionType.READY), "")
    head = Text(f"{job.metadata.name}: {status.phase.value}", style=f"bold {colour}")
    if reason:
        head.append(f"  {reason}", style=colour)
    if status.started_at and status.finished_at:
        spent = seconds_between(status.started_at, moment_of(status.finished_at)) - status.paused_seconds
        head.append(f"  in {show_seconds(spent)}", style="dim")
    parts = [] if job.spec.has_labels else [words.NO_LABELS]
    lines = Text("\n").join(Text(part) for part in [*parts, *status.message.split("; ")])
    return Panel(Group(head, lines), border_style=colour, box=box.ROUNDED, padding=(0, 1))


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for index, column in enumerate(columns):
        table.add_column(column, justify="right" if index else "left", overflow="fold")
    return table


def _numbers(job: PruningJob) -> Table | None:
    status = job.status
    if status.preflight is None:
        return None
    table = _table("Before and after", "", "baseline", "pruned", "change")
    before = status.preflight.baseline
    chosen = rounds.candidate(status.rounds)
    after = chosen.outcome.numbers if chosen else None
    name = words.metric_name(job)
    own = "{:.4f}" if job.spec.has_labels else "1 by definition"
    shown = own.format(before.metric)
    _row(table, name, before.metric, after.metric if after else None, "{:.4f}".format, shown=shown)
    _row(table, "MACs", before.macs, after.macs if after else None, show_count)
    _row(table, "parameters", before.params, after.params if after else None, show_count)
    for found in status.benchmarks:
        kind = target_name(found.format, found.backend)
        table.add_section()
        table.add_row(Text(f"{found.device} {kind}, {found.runs} runs", style="dim"))
        a, b = found.baseline, found.pruned
        _row(table, "latency p50", a.p50_seconds, b.p50_seconds, show_seconds, f"{found.speedup:.2f}x")
        _row(table, "latency p90", a.p90_seconds, b.p90_seconds, show_seconds)
        _row(table, "peak memory", a.peak_memory_bytes, b.peak_memory_bytes, show_bytes)
        _row(table, f"{name} (converted)", a.metric, b.metric, "{:.4f}".format)
        _row(table, "file size", a.bytes, b.bytes, show_bytes)
    return table


def _row(
    table: Table,
    name: str,
    before: float,
    after: float | None,
    show: Callable[[float], str],
    change: str | None = None,
    shown: str | None = None,
) -> None:
    moved = words.percent(after / before - 1, signed=True) if after is not None and before else ""
    table.add_row(name, shown or show(before), "" if after is None else show(after), change or moved)


def _constraints(status: PruningJobStatus) -> Table | None:
    if not status.constraints:
        return None
    table = _table("Constraints", "", "bound", "measured")
    for one in status.constraints:
        mark = Text("✔ ", style="green") if one.holds else Text("✘ ", style="red")
        table.add_row(mark + Text(one.name), one.bound, Text(one.measured, style="" if one.holds else "red"))
    return table


def _rounds(status: PruningJobStatus) -> Table | None:
    if not status.rounds:
        return None
    held = status.preflight.held if status.preflight is not None else None
    what = "agreement" if held is not None and held.by_agreement else "measured"
    on = f" ({what} on {held.samples} held-back training items)" if held is not None else ""
    table = _table(
        f"Rounds{on}", "", "MACs cut", "params cut", "after cut", "repaired", "tuned", "drop", "time", "gate"
    )
    for column in table.columns[4:]:
        column.no_wrap = True
    for one in status.rounds:
        found = one.outcome
        table.add_row(
            str(found.number),
            words.percent(found.cut_macs),
            words.percent(found.cut_params),
            f"{found.metric_cut:.4f}",
            f"{found.metric_repaired:.4f}",
            f"{found.recovered:.4f}",
            words.percent(found.drop),
            show_seconds(one.seconds),
            Text("accepted", style="green") if one.accepted else Text("rolled back", style="yellow"),
        )
    return table


def _artifacts(status: PruningJobStatus) -> Iterator[Text]:
    if not status.artifacts:
        return
    yield Text("Artifacts", style="bold")
    for one in status.artifacts:
        size = show_bytes(one.bytes) if one.bytes is not None else ""
        yield Text(f"  {_kind(one):22} {size:>10}  {local_path(one.uri) or one.uri}")


def _kind(one: ArtifactStatus) -> str:
    return f"{one.kind} {target_name(one.format, one.backend)}".strip()
