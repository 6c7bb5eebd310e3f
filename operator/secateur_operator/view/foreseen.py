"""A job's stages before it runs, for a person."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table

from secateur_api.quantity import show_moment, show_seconds
from secateur_operator.domain.foreseen import Foreseen, ForeseenStage


def print_foreseen(console: Console, found: Foreseen) -> None:
    """Print each stage: reused, with its date and what the work took, or to be done."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in (found.job, "", "took"):
        table.add_column(title, overflow="fold")
    for one in found.stages:
        name = f"round {one.round}" if one.round is not None else one.name.value
        took = show_seconds(one.seconds) if one.seconds is not None else ""
        table.add_row(name, _state(one), took)
    console.print(table, markup=False, highlight=False)
    left = sum(not one.reused for one in found.stages)
    print_line = "all is in the store; a run measures nothing anew" if left == 0 else "nothing was started"
    console.print(print_line, markup=False, highlight=False)


def _state(one: ForeseenStage) -> str:
    if one.reused:
        return f"reused, measured on {show_moment(one.measured_at)}" if one.measured_at else "reused"
    return f"to be done: {one.note}" if one.note else "to be done"
