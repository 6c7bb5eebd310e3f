"""Stage sensitivity, one shard: what each group's cut costs, ratio by ratio; finished points are kept."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cached_property, partial

import numpy as np
from pydantic import ValidationError

from secateur_api.results import CurveTable, GroupTable, Point, SensitivityOutcome, StageOutcome
from secateur_jobs import checkpoint
from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning.calibration import Calibration
from secateur_jobs.pruning.criteria.select import best_channels, criterion_function
from secateur_jobs.pruning.engine import PruningEngine
from secateur_jobs.pruning.engines import make_engine
from secateur_jobs.pruning.plan import open_groups
from secateur_jobs.pruning.points import folder_of, points_of, shard_of
from secateur_jobs.runtime.context import StageContext
from secateur_jobs.training.batching import gather, in_memory, spread
from secateur_jobs.training.evaluate import evaluate, relative_drop
from secateur_jobs.training.seeding import seed_everything
from secateur_jobs.user_code import Splits, load_data

_IN_MEMORY_BYTES = 2**30  # a larger evaluation set is read anew for every point


def run(context: StageContext) -> StageOutcome:
    """Measure this shard's points and commit them as ``curves`` (CurveTable).

    A point is committed as soon as it is measured; one that is there already, whichever job or attempt left
    it, is not measured again.
    """
    spec = context.request.spec
    context.progress(1, "evaluate the unpruned model")
    preflight = context.upstream("preflight")
    table = context.store.unit_json(preflight, "groups", GroupTable)
    groups = open_groups(table.groups, spec.pruning.align)
    wanted = shard_of(
        points_of(groups, spec.sensitivity.ratios), context.request.shard, context.request.shards
    )
    folder = folder_of(spec, context.store.unit_ref(preflight, "checkpoint").sha256, table.engine)
    meter = _Meter(context)
    baseline = _keep(context, f"{folder}/baseline.json", lambda: meter.measure("", 0.0, None))
    points: list[Point] = []
    for index, (group, ratio) in enumerate(wanted):
        measure = partial(meter.measure, group, ratio, baseline.metric)
        points.append(_keep(context, f"{folder}/{group}@{ratio:g}.json", measure))
        percent = 5 + 94 * (index + 1) / len(wanted)
        context.progress(percent, f"point {index + 1}/{len(wanted)}", points[-1].metric)
    context.put_json("curves", CurveTable(baseline=baseline.metric, points=points))
    return StageOutcome(sensitivity=SensitivityOutcome(points=len(points), measured=meter.points))


def _keep(context: StageContext, path: str, measure: Callable[[], Point]) -> Point:
    """Return the point that is in the store, or measure it and commit it there."""
    point = _committed(context, path)
    if point is None:
        point = measure()
        context.store.write(path, point.model_dump_json(by_alias=True).encode())
    return point


def _committed(context: StageContext, path: str) -> Point | None:
    """Return a point that is in the store; a damaged one counts as none and is written anew."""
    if not context.store.exists(path):
        return None
    try:
        return Point.model_validate_json(context.store.read(path))
    except ValidationError:
        return None


class _Meter:
    """Cuts one group of the unpruned net, evaluates, restores. What it needs is loaded when first needed."""

    def __init__(self, context: StageContext) -> None:
        self._context = context
        self._spec = context.request.spec
        self._scores: dict[str, np.ndarray] = {}
        self.points = 0
        """How many cuts were measured."""

    def measure(self, group: str, ratio: float, baseline: float | None) -> Point:
        """Return the point of a group's cut; of no group, the uncut net's, which is the baseline."""
        begin = time.monotonic()
        spec = self._spec
        try:
            if group:
                self.points += 1
                self._engine.cut({group: self._mask(group, ratio)})
            metric = evaluate(self._net, self._evaluation_set, spec.evaluation, self._fraction)
        finally:
            self._engine.restore()
        reference = metric if baseline is None else baseline
        return Point(
            group=group,
            ratio=ratio,
            metric=metric,
            loss=relative_drop(reference, metric, spec.evaluation.goal),
            seconds=time.monotonic() - begin,
        )

    def _mask(self, group: str, ratio: float) -> np.ndarray:
        if group not in self._scores:
            found = next(g for g in self._engine.groups if g.name == group)
            criterion = criterion_function(self._spec.pruning.criterion)
            self._scores[group] = criterion(self._net, found, self._calibration)
        channels = len(self._scores[group])
        return best_channels(self._scores[group], max(1, channels - round(channels * ratio)))

    @cached_property
    def _net(self) -> paddle.nn.Layer:
        seed_everything(self._spec.seed)
        preflight = self._context.upstream("preflight")
        return checkpoint.from_bytes(self._context.store.unit_file(preflight, "checkpoint"))

    @cached_property
    def _engine(self) -> PruningEngine:
        return make_engine(self._spec.pruning.engine, self._net, self._spec.model.inputs)

    @cached_property
    def _splits(self) -> Splits:
        return load_data(self._spec.data)

    @cached_property
    def _calibration(self) -> Calibration:
        return Calibration(self._net, self._splits.train, self._spec.evaluation, self._spec.seed)

    @cached_property
    def _evaluation_set(self) -> paddle.io.Dataset:
        """The evaluation set, or the share of it that is used, in memory where it fits."""
        data, fraction = self._splits.eval, self._spec.sensitivity.data_fraction
        item = sum(column.nbytes for column in gather(data, [0]))
        fits = item * len(spread(len(data), fraction)) <= _IN_MEMORY_BYTES
        return in_memory(data, fraction) if fits else data

    @property
    def _fraction(self) -> float:
        held = self._evaluation_set is not self._splits.eval
        return 1.0 if held else self._spec.sensitivity.data_fraction
