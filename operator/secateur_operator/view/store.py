"""Units of a store as lines: plain, so that they can be cut and sorted."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from secateur_api.quantity import show_bytes
from secateur_api.storekeeping import Cleared, Kept


def print_kept(console: Console, units: Sequence[Kept], now: float) -> None:
    """Print a line for each unit, the damage of each below it, and a last line with the sums."""
    for one in units:
        days = (now - one.modified) / 86400
        stage = one.stage or "-"
        line = f"  {one.unit:44} {stage:12} {one.files:4d} files {show_bytes(one.bytes):>10} {days:6.1f} days"
        console.print(line, highlight=False, markup=False)
        if one.damage:
            console.print(f"    {one.damage}", style="red", highlight=False, markup=False)
    damaged = sum(bool(one.damage) for one in units)
    size = show_bytes(sum(one.bytes for one in units))
    console.print(f"  {len(units)} units, {size}; {damaged} not whole", highlight=False)


def print_cleared(console: Console, cleared: Sequence[Cleared], dry_run: bool) -> None:
    """Print a line for each unit or folder that went, and a last line with the sums."""
    for one in cleared:
        console.print(f"  {one.name:44} {one.files:4d} files {show_bytes(one.bytes):>10}", highlight=False)
    files, size = sum(one.files for one in cleared), show_bytes(sum(one.bytes for one in cleared))
    done = "would be removed" if dry_run else "removed"
    console.print(f"  {files} files, {size} {done}", highlight=False)
