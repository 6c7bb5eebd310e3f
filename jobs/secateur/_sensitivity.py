"""Measure what the cut of each group costs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Unpack

from secateur._arguments import (
    Data,
    Inputs,
    Judging,
    check_fits,
    dataset_of,
    evaluation_of,
    input_specs,
    name_of,
    plain_errors,
)
from secateur._inspect import FREE, look
from secateur_api.results import Group
from secateur_api.spec import Evaluation, InputSpec, Pruning, Sensitivity, SensitivityMode, Target
from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning.allocation import open_groups
from secateur_jobs.pruning.calibration import Calibration
from secateur_jobs.pruning.criteria import criterion_function
from secateur_jobs.pruning.engines import make_engine
from secateur_jobs.pruning.macs import count
from secateur_jobs.pruning.sensitivity.modes import Modes
from secateur_jobs.pruning.sensitivity.points import points_of
from secateur_jobs.pruning.sensitivity.sweep import Cut
from secateur_jobs.training.batching import gather
from secateur_jobs.training.evaluate import evaluate
from secateur_jobs.training.forward import eval_mode
from secateur_jobs.training.seeding import generators_kept, seed_everything

__all__ = ["Curves", "sensitivity"]

RATIOS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)


@dataclass(frozen=True)
class Curves:
    """The loss of the metric when one group alone is cut, without repair."""

    baseline: float
    """The metric of the uncut network on the same samples."""
    losses: dict[str, dict[float, float]]
    """For each group, the relative drop of the metric (0.1: a tenth worse; negative: better) by the share of
    its channels that is cut (0..1)."""
    notes: tuple[str, ...] = ()
    """Groups that had to be measured the slow way, and why."""

    def __str__(self) -> str:
        rows = [
            f"{group}: " + ", ".join(f"{r:g} {loss:.4f}" for r, loss in curve.items())
            for group, curve in self.losses.items()
        ]
        return "\n".join([f"metric {self.baseline:.4f}; drop of it by share of channels", *rows])


@plain_errors
def sensitivity(
    net: paddle.nn.Layer,
    inputs: Inputs,
    data: Data,
    *,
    ratios: Sequence[float] = RATIOS,
    mode: Literal["exact", "bounded", "fisher"] = "exact",
    criterion: str | Callable[..., Any] = "fisher",
    calibration: Data | None = None,
    fraction: float = 1.0,
    seed: int = 0,
    **judging: Unpack[Judging],
) -> Curves:
    """Measure how much worse ``net`` gets when a share of one group's channels is cut, for each group.

    Each of ``ratios`` (above 0, below 1) is measured on ``fraction`` (0..1] of ``data``; ``net`` is not
    changed. ``criterion`` chooses the channels to cut, and reads ``calibration`` (default: ``data``).
    ``mode`` ``exact`` measures all samples. ``bounded`` stops each point by a confidence sequence
    (Waudby-Smith and Ramdas 2024). ``fisher`` estimates from one backward pass and evaluates nothing (Liu et
    al. 2021). ``judging``: see :class:`Judging`. Raises ValueError as :func:`inspect` does, and for data that
    do not fit the network.

    >>> import numpy as np, secateur
    >>> from paddle.vision.models import LeNet
    >>> images, labels = np.zeros((4, 1, 28, 28), "float32"), np.zeros(4, "int64")
    >>> curves = secateur.sensitivity(LeNet(), [("image", (1, 1, 28, 28))], (images, labels), ratios=[0.5],
    ...                               loss="cross_entropy")
    >>> sorted(curves.losses)
    ['fc.0', 'fc.1', 'features.0', 'features.3']
    """
    specs, evaluation = input_specs(inputs), evaluation_of(judging)
    dataset = dataset_of(data, specs)
    train = dataset if calibration is None else dataset_of(calibration, specs, "calibration")
    settings = Sensitivity(mode=SensitivityMode(mode), ratios=list(ratios), data_fraction=fraction)
    pruning = Pruning(target=Target(macs="0%"), protect=FREE, align=1)
    with generators_kept(), eval_mode(net):
        seed_everything(seed)
        check_fits(net, dataset, specs, evaluation)
        if calibration is not None:
            check_fits(net, train, specs, evaluation, "calibration")
        labels = gather(train, [0])[-1]
        found = look(net, specs, count(net, specs), pruning, ratios, labels)
        return curves_of_groups(
            net, specs, found.table.groups, dataset, train, name_of(criterion), settings, evaluation, seed
        )


def curves_of_groups(
    net: paddle.nn.Layer,
    inputs: list[InputSpec],
    groups: Sequence[Group],
    data: paddle.io.Dataset,
    train: paddle.io.Dataset,
    criterion: str,
    settings: Sensitivity,
    evaluation: Evaluation,
    seed: int,
) -> Curves:
    """Measure the points that allocation can use of each open group, as stage sensitivity does."""
    engine = make_engine(Pruning.model_fields["engine"].default, net, inputs, gather(train, [0])[-1])
    channels = {group.name: group for group in engine.groups}
    calibration = Calibration(net, train, evaluation, seed)
    score = criterion_function(criterion)
    scores = {group.name: score(net, channels[group.name], calibration) for group in open_groups(groups)}
    wanted = points_of(open_groups(groups), settings.ratios)
    baseline, notes = evaluate(net, data, evaluation, settings.data_fraction), list[str]()
    modes = Modes(
        net=net,
        data=data,
        evaluation=evaluation,
        settings=settings,
        calibration=calibration,
        baseline=baseline,
        comparisons=len(wanted),
        seed=seed,
        notes=notes,
    )
    losses: dict[str, dict[float, float]] = {}
    for point in modes.run([Cut.of(channels[name], ratio, scores[name]) for name, ratio in wanted]):
        losses.setdefault(point.group, {})[point.ratio] = point.loss
    in_order = {group: dict(sorted(losses[group].items())) for group in scores}
    return Curves(baseline, in_order, tuple(notes))
