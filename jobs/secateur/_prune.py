"""Cut a network, and repair the layers that stay."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Unpack

from secateur._arguments import (
    Data,
    Inputs,
    Judging,
    check_fits,
    dataset_of,
    evaluation_of,
    input_specs,
    name_of,
    percent,
    plain_errors,
)
from secateur._inspect import look
from secateur._sensitivity import RATIOS, Curves, curves_of_groups
from secateur_api.spec import LayerRule, Protect, Pruning, Repair, Sensitivity, Target
from secateur_jobs import checkpoint
from secateur_jobs.explain import RAISED, raised
from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning.allocation import open_groups, planned_widths
from secateur_jobs.pruning.calibration import Calibration
from secateur_jobs.pruning.cost_of_net import cost_models
from secateur_jobs.pruning.criteria import criterion_function
from secateur_jobs.pruning.engines import make_engine
from secateur_jobs.pruning.layers import cuttable_layers, width
from secateur_jobs.pruning.macs import count
from secateur_jobs.pruning.repair import shrink
from secateur_jobs.pruning.widths import Curve
from secateur_jobs.training.batching import gather
from secateur_jobs.training.seeding import generators_kept, seed_everything

__all__ = ["Account", "prune"]


@dataclass(frozen=True)
class Account:
    """What a cut did, counted and not predicted; in each pair the number of the uncut network is first."""

    macs: tuple[int, int]
    """Multiply-accumulate operations of one forward pass at the declared shapes."""
    params: tuple[int, int]
    """Trainable parameters that inference uses."""
    widths: dict[str, tuple[int, int]]
    """Output channels of each convolution and linear layer, whether it is cut or not."""
    refused: dict[str, str]
    """Layers that cannot be cut, each with its reason."""
    repaired: tuple[str, ...]
    """Layers whose weights were fitted to the kept channels."""
    curves: Curves | None
    """The curves by which the target was spread; None if ``layers`` fixed every ratio."""
    notes: tuple[str, ...]
    """What you should know, such as patterns without effect, or a target that was missed by a step."""

    @property
    def cut_macs(self) -> float:
        """The share of the MACs that was cut, 0..1."""
        return 1 - self.macs[1] / self.macs[0]

    @property
    def cut_params(self) -> float:
        """The share of the parameters that was cut, 0..1."""
        return 1 - self.params[1] / self.params[0]

    def __str__(self) -> str:
        lines = [
            f"MACs {self.macs[0]:,} -> {self.macs[1]:,} (-{self.cut_macs:.1%}), "
            f"parameters {self.params[0]:,} -> {self.params[1]:,} (-{self.cut_params:.1%})"
        ]
        lines += [f"  {layer}: {a} -> {b}" for layer, (a, b) in self.widths.items() if a != b]
        return "\n".join([*lines, *self.notes])


@plain_errors
def prune(
    net: paddle.nn.Layer,
    inputs: Inputs,
    *,
    data: Data,
    macs: float | None = None,
    params: float | None = None,
    size: float | None = None,
    layers: Mapping[str, float] | None = None,
    criterion: str | Callable[..., Any] = "fisher",
    repair: bool = True,
    curves: Curves | None = None,
    protect: tuple[float, float] = (0.1, 0.1),
    align: int = 8,
    samples: int = 512,
    seed: int = 0,
    **judging: Unpack[Judging],
) -> tuple[paddle.nn.Layer, Account]:
    """Return a narrower copy of ``net``, in evaluation mode, and the account of it; ``net`` is not changed.

    ``macs``, ``params`` and ``size`` (bytes of :func:`save`'s file) are the shares to cut, above 0 and below
    1; the cut reaches each share that you give. It spreads them over the groups by ``curves``, by default
    those that :func:`sensitivity` measures on ``data``. ``layers`` fixes the ratio of layers instead, by name
    or fnmatch pattern (``{"layer1.*": 0.3}``); the first match counts, and has priority over the shares.

    ``data`` is training data. ``criterion`` reads up to 256 of its items; it is ``fisher``, ``taylor``,
    ``activation``, ``l1_norm``, ``random``, or a function of (net, group, calibration) that returns one score
    per channel. ``repair`` reads ``samples`` items: it fits the layers that read removed channels to the kept
    ones by least squares, and recomputes running statistics of normalisations. ``protect`` gives the largest
    ratios of the first and of the last group. Kept widths are multiples of ``align`` channels. The same
    arguments give the same bytes on one machine. ``judging``: see :class:`Judging`.

    The cut is proven: the outputs equal those of the network that ignores the removed channels (in float64,
    within 1e-9 of the largest). Raises ValueError for a share that cannot be reached (and says what limits
    it), a pattern that matches nothing, or data that do not fit.

    >>> import numpy as np, secateur
    >>> from paddle.vision.models import LeNet
    >>> images, labels = np.zeros((8, 1, 28, 28), "float32"), np.zeros(8, "int64")
    >>> small, account = secateur.prune(LeNet(), [("image", (1, 1, 28, 28))], data=(images, labels),
    ...                                 layers={"features.3": 0.5}, align=1)
    >>> account.widths["features.3"]
    (16, 8)
    """
    specs, evaluation = input_specs(inputs), evaluation_of(judging)
    train = dataset_of(data, specs)
    shares = {"macs": macs, "params": params, "size": size}
    targets = {name: percent(share, name) for name, share in shares.items() if share is not None}
    if not targets and not layers:
        raise ValueError("macs, params, size and layers are all missing; say what to cut, such as macs=0.5")
    pruning = Pruning(
        target=Target.model_validate(targets) if targets else None,
        layers=[LayerRule(match=pattern, ratio=ratio) for pattern, ratio in (layers or {}).items()],
        criterion=name_of(criterion),
        protect=Protect(first=protect[0], last=protect[1]),
        align=align,
        repair=Repair(least_squares=repair, batch_norm=repair, samples=samples),
    )
    ratios = list(RATIOS) if curves is None else _ratios(curves)
    small = _copied(net)
    small.eval()
    with generators_kept():
        seed_everything(seed)
        check_fits(small, train, specs, evaluation)
        labels = gather(train, [0])[-1]
        before = count(small, specs)
        found = look(small, specs, before, pruning, ratios, labels)
        groups = found.table.groups
        if targets and open_groups(groups):
            settings = Sensitivity(ratios=ratios)
            curves = curves or curves_of_groups(
                small, specs, groups, train, train, pruning.criterion, settings, evaluation, seed
            )
        else:
            curves = None
        engine = make_engine(pruning.engine, small, specs, labels)
        proven = {group.name for group in groups}
        costs = cost_models(
            engine,
            [group for group in engine.groups if group.name in proven],
            before,
            len(checkpoint.plain_bytes(small, specs)),
            specs,
        )
        known = {} if curves is None else {g: Curve(c.items()) for g, c in curves.losses.items()}
        now = {group.name: group.channels for group in engine.groups}
        widths = planned_widths(groups, now, pruning, 1.0, known, costs)
        names = {name: width(layer) for name, layer in cuttable_layers(small).items()}
        score = criterion_function(pruning.criterion)
        repaired = shrink(
            engine, widths, specs, score, Calibration(small, train, evaluation, seed), pruning.repair
        )
        after = count(small, specs)
    small.eval()
    cut = cuttable_layers(small)
    account = Account(
        macs=(before.macs, after.macs),
        params=(before.params, after.params),
        widths={name: (whole, width(cut[name])) for name, whole in names.items()},
        refused={refused.layer: refused.reason for refused in found.table.refused},
        repaired=tuple(repaired.fitted),
        curves=curves,
        notes=tuple(found.notes),
    )
    return small, account


def _ratios(curves: Curves) -> list[float]:
    found = sorted({ratio for curve in curves.losses.values() for ratio in curve})
    if not found:
        raise ValueError("curves has no points; measure them with secateur.sensitivity")
    return found


def _copied(net: paddle.nn.Layer) -> paddle.nn.Layer:
    try:
        return copy.deepcopy(net)
    except RAISED as error:
        raise ValueError(f"net cannot be copied (copy.deepcopy): {raised(error)}") from error
