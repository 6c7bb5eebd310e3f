"""What takes time in a net, and which narrowed nets to measure to find out how much."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from secateur_api.results import LatencyTable
from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning.allocation.latency import Term, fit, model
from secateur_jobs.pruning.cost import CostModel, Part
from secateur_jobs.pruning.cost_of_net import cut_tensors
from secateur_jobs.pruning.engine import ChannelGroup
from secateur_jobs.pruning.layers import TRANSPOSED, is_depthwise
from secateur_jobs.pruning.macs import Counts
from secateur_jobs.pruning.widths import MAX_RATIO, kept_width

_SPREAD = 0.25
"""Most that a group's ratio differs from the net's."""


def latency_terms(net: paddle.nn.Layer, groups: Sequence[ChannelGroup], counts: Counts) -> list[Term]:
    """Return the products and the outputs of every layer that shrinks with a group."""
    terms = []
    for tensor in cut_tensors(net, groups):
        macs = tensor.macs(counts)
        if not macs:
            continue
        rows, columns = tensor.axes
        kind = type(tensor.layer).__name__
        if is_depthwise(tensor.layer):
            kind = "depthwise"
        elif tensor.value.ndim > 2 and max(tensor.value.shape[2:]) == 1:
            kind = "pointwise"
        terms.append(Term(tensor.name, kind, macs, Part(1.0, rows, columns)))
        axis = 1 if isinstance(tensor.layer, (paddle.nn.Linear, *TRANSPOSED)) else 0
        out, outputs = tensor.axes[axis], macs * int(tensor.value.shape[axis]) / tensor.elements
        terms.append(Term(tensor.name, "output", outputs, Part(1.0, out, {})))
    return terms


def latency_model(
    net: paddle.nn.Layer, groups: Sequence[ChannelGroup], counts: Counts, table: LatencyTable
) -> CostModel:
    """Return the latency of ``net`` by its groups' widths, as a share of its own uncut."""
    terms = latency_terms(net, groups, counts)
    names = [group.name for group in groups]
    kept = [{name: share for name, share in one.items() if name in names} for one in table.kept]
    return model(names, terms, fit(terms, kept, table.latency))


def sample_widths(groups: Sequence[ChannelGroup], align: int, count: int, seed: int) -> list[dict[str, int]]:
    """Return ``count`` plans that spread over what allocation may choose, in all and from group to group."""
    random = np.random.default_rng(seed)
    plans = []
    for index in range(count):
        whole = MAX_RATIO * (index + 0.5) / count
        ratios = np.clip(whole + random.uniform(-_SPREAD, _SPREAD, len(groups)), 0, MAX_RATIO)
        plans.append(
            {
                g.name: kept_width(g.channels, float(r), g.step(align))
                for g, r in zip(groups, ratios, strict=True)
            }
        )
    return plans
