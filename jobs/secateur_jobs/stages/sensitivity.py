"""Stage sensitivity, one shard: what each group's cut costs, ratio by ratio; finished points are kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from secateur_api.results import (
    CurveTable,
    Depths,
    GroupTable,
    Point,
    PointSource,
    SensitivityOutcome,
    StageOutcome,
)
from secateur_api.spec import SensitivityMode
from secateur_jobs import checkpoint
from secateur_jobs.measure.statistics import relative_drop
from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning.allocation import open_groups
from secateur_jobs.pruning.calibration import Calibration
from secateur_jobs.pruning.criteria import criterion_function
from secateur_jobs.pruning.engine import ChannelGroup, PruningEngine
from secateur_jobs.pruning.engines import make_engine
from secateur_jobs.pruning.sensitivity import sen_file
from secateur_jobs.pruning.sensitivity.modes import Modes
from secateur_jobs.pruning.sensitivity.points import Ledger, Wanted, deal, folder_of, points_of
from secateur_jobs.pruning.sensitivity.sweep import Cut
from secateur_jobs.runtime.context import StageContext
from secateur_jobs.sources import of_job
from secateur_jobs.training.answers import judged_by
from secateur_jobs.training.batching import gather
from secateur_jobs.training.evaluate import evaluate
from secateur_jobs.training.held import Parts, parts_of
from secateur_jobs.training.seeding import seed_everything

_NOTES = 2


def run(context: StageContext) -> StageOutcome:
    """Measure this shard's points and commit them as ``curves`` (CurveTable).

    A point is committed as soon as it is known; one that is there already, whichever job or attempt left
    it, is not measured again. Raises InvalidInput if ``bounded`` is asked for with a metric that is no mean
    over samples, or for a file of another model.
    """
    spec, request = context.request.spec, context.request
    context.progress(1, "load the unpruned model")
    table = context.store.unit_json(context.upstream("preflight"), "groups", GroupTable)
    groups = open_groups(table.groups)
    all_points = points_of(groups, spec.sensitivity.ratios)
    work = _Work(context, table, len(all_points))
    imported = work.imported({group.name for group in groups})
    known_to = {point.group: point.ratio for point in imported}  # in ascending order: the largest
    wanted = [(group, ratio) for group, ratio in all_points if ratio > known_to.get(group, 0.0)]
    depths = context.store.unit_json(context.upstream("preflight"), "depths", Depths)
    points = work.points(deal(wanted, depths.behind, request.shards)[request.shard])
    points += imported if request.shard == 0 else []
    context.put_json("curves", CurveTable(baseline=work.baseline, points=points))
    outcome = SensitivityOutcome(points=len(points), measured=work.measured, notes=_first(work.notes))
    return StageOutcome(sensitivity=outcome)


def _first(notes: list[str]) -> list[str]:
    """Return some notes and how many more there are: a pod's last message is short."""
    return notes[:_NOTES] + ([f"and {len(notes) - _NOTES} more groups"] if len(notes) > _NOTES else [])


@dataclass
class _Work:
    """Finds points in the store, measures the others, and keeps count."""

    context: StageContext
    table: GroupTable
    comparisons: int
    """Points of all shards."""
    measured: int = 0
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.bench = _Bench(self.context)

    def imported(self, groups: set[str]) -> list[Point]:
        """Return the points of PaddleSlim's file for ``groups``, if the job names one; ratios ascend."""
        file = self.context.request.spec.sensitivity.file
        if file is None:
            return []
        curves = sen_file.for_groups(sen_file.read(file), self.bench.net, self.table.groups)
        found = []
        for group, ratio, loss in (
            (g, *pair) for g, curve in curves.items() for pair in sorted(curve.items())
        ):
            if group in groups:
                metric = sen_file.metric_of(loss, self.baseline)
                goal = self.context.request.spec.evaluation.goal
                drop = relative_drop(self.baseline, metric, goal)
                found.append(
                    Point(
                        group=group,
                        ratio=ratio,
                        metric=metric,
                        loss=drop,
                        seconds=0.0,
                        source=PointSource.IMPORTED,
                    )
                )
        return found

    def points(self, wanted: Sequence[Wanted]) -> list[Point]:
        """Return the wanted points, from the store or measured now; those are committed one by one."""
        known = {w: point for w in wanted if (point := self._ledger.find(*w)) is not None}
        missing = [w for w in wanted if w not in known]
        for point in self._measure(missing) if missing else ():
            self._ledger.commit(point)
            self.measured += 1
            known[(point.group, point.ratio)] = point
        return [known[w] for w in wanted]

    def _measure(self, missing: Sequence[Wanted]) -> Iterator[Point]:
        """Yield a point for each of ``missing``."""
        self.context.progress(4, "choose channels")
        spec = self.context.request.spec
        cuts = [self.bench.cut(group, ratio) for group, ratio in missing]

        def on_share(share: float) -> None:
            self.context.progress(5 + 94 * share, f"point {round(share * len(cuts))}/{len(cuts)}")

        modes = Modes(
            net=self.bench.net,
            data=self.bench.parts.choosing,
            evaluation=judged_by(self.bench.parts.choosing, spec.evaluation),
            settings=spec.sensitivity,
            calibration=self.bench.calibration,
            baseline=self.baseline,
            comparisons=self.comparisons,
            seed=spec.seed,
            notes=self.notes,
            on_share=on_share,
        )
        yield from modes.run(cuts)

    @cached_property
    def baseline(self) -> float:
        """The unpruned net's metric on the samples that points are measured on."""
        spec = self.context.request.spec
        if spec.sensitivity.data_fraction < 1:
            fraction = spec.sensitivity.data_fraction
            return evaluate(self.bench.net, self.bench.parts.choosing, spec.evaluation, fraction)
        return self.context.preflight().choosing_metric

    @cached_property
    def _ledger(self) -> Ledger:
        """Where points of this mode are; what was measured on all samples serves each mode but ``fisher``."""
        spec, mode = self.context.request.spec, self.context.request.spec.sensitivity.mode
        sha256 = self.context.store.unit_ref(self.context.upstream("preflight"), "checkpoint").sha256
        modes = (
            [mode] if mode is SensitivityMode.FISHER else list(dict.fromkeys([mode, SensitivityMode.EXACT]))
        )
        sources, held = of_job(self.context), self.context.preflight().held
        folders = (
            folder_of(spec, sha256, sources, self.table.engine, m, self.comparisons, held) for m in modes
        )
        return Ledger(self.context.store, tuple(folders))


@dataclass
class _Bench:
    """The unpruned net of a job's preflight, and cuts of its groups."""

    context: StageContext
    _scores: dict[str, np.ndarray] = field(default_factory=dict)

    def cut(self, group: str, ratio: float) -> Cut:
        """Return the cut of a share of a group's channels, the ones that the job's criterion puts last."""
        found = self._groups[group]
        if group not in self._scores:
            criterion = criterion_function(self.context.request.spec.pruning.criterion)
            self._scores[group] = criterion(self.net, found, self.calibration)
        return Cut.of(found, ratio, self._scores[group])

    @cached_property
    def net(self) -> paddle.nn.Layer:
        """The unpruned net; its parameters are named as in a process that builds nothing else."""
        seed_everything(self.context.request.spec.seed)
        preflight = self.context.upstream("preflight")
        with paddle.utils.unique_name.guard():
            content = self.context.store.unit_file(preflight, "checkpoint")
            return checkpoint.from_bytes(content, self.context.request.spec.model)

    @cached_property
    def engine(self) -> PruningEngine:
        """The job's engine on the unpruned net."""
        spec = self.context.request.spec
        labels = gather(self.parts.train, [0])[-1]
        return make_engine(spec.pruning.engine, self.net, spec.model.inputs, labels)

    @cached_property
    def _groups(self) -> dict[str, ChannelGroup]:
        return {group.name: group for group in self.engine.groups}

    @cached_property
    def parts(self) -> Parts:
        """The data, and what of it chooses."""
        return parts_of(self.context)

    @cached_property
    def calibration(self) -> Calibration:
        """Training samples for the criterion."""
        spec = self.context.request.spec
        in_training = judged_by(self.parts.train, spec.evaluation)
        return Calibration(self.net, self.parts.train, in_training, spec.seed)
