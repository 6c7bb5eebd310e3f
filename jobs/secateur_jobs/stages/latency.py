"""The latency table that a target of latency needs: measured once for a net on a device, then kept."""

from __future__ import annotations

from collections.abc import Sequence

from secateur_api.results import LatencyTable
from secateur_api.stage import digest_of
from secateur_jobs import checkpoint
from secateur_jobs.conversion.batches import Batch
from secateur_jobs.measure.latency import RUNS, measure_plans, processor
from secateur_jobs.pruning.cost_of_net import sample_widths
from secateur_jobs.pruning.engine import ChannelGroup, PruningEngine
from secateur_jobs.runtime.context import StageContext
from secateur_jobs.runtime.toolchain import toolchain

_NETS = 24
"""Narrowed nets to measure."""


def latency_table(
    context: StageContext,
    engine: PruningEngine,
    groups: Sequence[ChannelGroup],
    batch: Batch,
    span: tuple[float, float],
) -> LatencyTable:
    """Return how long narrowed nets take on the device of the first benchmark, kept or measured now.

    The table is committed as ``latency``, and found again by the net's architecture, its groups, the device
    and the toolchain. ``span`` is the part of the stage's progress (percent) that this is.
    """
    spec = context.request.spec
    benchmark = spec.benchmark[0]
    shapes = {name: list(array.shape) for name, array in checkpoint.state(engine.net).items()}
    decides = {
        "factory": spec.model.factory,
        "exported": getattr(engine.net, "files_sha256", None),
        "args": spec.model.args,
        "beforeExport": spec.model.before_export,
        "code": spec.code.sha256 if spec.code is not None else None,
        "image": spec.image,
        "shapes": shapes,
        "groups": [[group.name, group.channels] for group in groups],
        "inputs": [one.to_wire() for one in spec.model.inputs],
        "align": spec.pruning.align,
        "benchmark": [benchmark.device, benchmark.format.value, RUNS, _NETS],
        "processor": processor(),
        "toolchain": toolchain(),
        "modules": context.sources.modules if context.sources is not None else {},
        "fresh": spec.fresh,
    }
    path = f"latency/{digest_of(decides)}.json"
    table = context.store.kept(path, LatencyTable)
    if table is None:
        plans = sample_widths(groups, spec.pruning.align, _NETS, spec.seed)
        table = measure_plans(
            engine,
            plans,
            spec.model,
            benchmark,
            batch,
            lambda share: context.progress(span[0] + (span[1] - span[0]) * share, "measure narrowed nets"),
        )
        context.store.keep(path, table)
    context.put_json("latency", table)
    return table
