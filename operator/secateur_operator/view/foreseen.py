"""Show a job's stages before it runs."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table

from secateur_api import Stage
from secateur_api.quantity import show_moment, show_seconds
from secateur_operator.domain.foreseen import Foreseen, ForeseenStage


def print_foreseen(console: Console, found: Foreseen) -> None:
    """Print each stage: reused, with its date and what the work took, to be done, or not known yet."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in (found.job, "", "took"):
        table.add_column(title, overflow="fold")
    for one in found.stages:
        table.add_row(_title(one), _state(one), show_seconds(one.seconds) if one.seconds is not None else "")
    console.print(table, markup=False, highlight=False)
    for line in _last_lines(found):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _title(one: ForeseenStage) -> str:
    if one.name is Stage.ROUND:
        return "further rounds" if one.round is None else f"round {one.round}"
    return str(one.name.value)


def _state(one: ForeseenStage) -> str:
    if one.state == "reused":
        return f"reused, measured on {show_moment(one.measured_at)}" if one.measured_at else "reused"
    known = "to be done" if one.state == "toDo" else "not known yet"
    return f"{known}: {one.note}" if one.note else known


def _last_lines(found: Foreseen) -> list[str]:
    lines = []
    first = next((one for one in found.stages if one.state == "toDo"), None)
    if any(one.state == "open" for one in found.stages) and first is not None:
        lines.append(f"What is not known yet depends on {_title(first)}; a run checks stage by stage.")
    if all(one.state == "reused" for one in found.stages):
        lines.append("Every result is in the store: a run repeats no measurement.")
    if found.suspended:
        lines.append("spec.suspend is true: a run does nothing until it is false.")
    return lines
