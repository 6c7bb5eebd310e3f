"""Show what an inspection found in a model."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table

from secateur_api.inspection import Inspection
from secateur_api.quantity import show_bytes
from secateur_api.results import Shares


def print_inspection(console: Console, found: Inspection, with_layers: bool = True) -> None:
    """Print a model's numbers, then each layer with its group or why it stays."""
    console.print(found.model, style="bold", highlight=False, markup=False)
    facts = Table.grid(padding=(0, 2))
    for name, text in _facts(found):
        facts.add_row(name, text)
    console.print(facts, markup=False, highlight=False)
    if with_layers:
        console.print(_layers(found), markup=False, highlight=False)


def _facts(found: Inspection) -> list[tuple[str, str]]:
    facts = [
        ("inputs", ", ".join(f"{one.name} {one.shape} {one.dtype.value}" for one in found.inputs)),
        ("outputs", ", ".join(f"{one.name} {one.shape} {one.dtype}" for one in found.outputs)),
        ("MACs", f"{found.macs:,}"),
        ("parameters", f"{found.params:,}"),
        ("file", show_bytes(found.file_bytes)),
    ]
    if found.difference is not None:
        facts.append(("rebuilt", f"equal to the file within {found.difference:.1e} of the largest output"))
    facts += [
        ("can be cut", f"{_shares(found.most)} at most"),
        ("", f"{_shares(found.by_default)} with a job's defaults"),
        ("layers", _layer_count(len(found.groups), len(found.refused))),
    ]
    return [*facts, *(("", note) for note in found.notes)]


def _layer_count(groups: int, stay: int) -> str:
    found = "1 group" if groups == 1 else f"{groups} groups"
    return f"{found}, 1 layer stays" if stay == 1 else f"{found}, {stay} layers stay"


def _shares(shares: Shares) -> str:
    quantities = {"MACs": shares.macs, "parameters": shares.params, "bytes": shares.size}
    return ", ".join(f"{share:.0%} of the {what}" for what, share in quantities.items() if share is not None)


def _layers(found: Inspection) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in ("layer", "channels", "cut with it", "read by"):
        table.add_column(title, overflow="fold")
    for group in found.groups:
        others = ", ".join([*group.producers[1:], *group.others])
        table.add_row(group.name, str(group.channels), others, ", ".join(group.consumers))
    for refused in found.refused:
        table.add_row(refused.layer, "stays", refused.reason, "")
    return table
