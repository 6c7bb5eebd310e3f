"""Stage round: cut to this round's widths, repair, fine-tune with the unpruned model as teacher, measure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from secateur_api.conditions import Reason
from secateur_api.results import (
    CurveTable,
    GroupTable,
    LatencyTable,
    ModelNumbers,
    PreflightOutcome,
    RoundOutcome,
    RoundPlan,
    StageOutcome,
    Width,
)
from secateur_api.stage import FileRef, RoundRequest
from secateur_jobs import checkpoint
from secateur_jobs.measure.statistics import relative_drop
from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning.allocation import planned_widths
from secateur_jobs.pruning.calibration import Calibration
from secateur_jobs.pruning.cost_of_net import cost_models, latency_model
from secateur_jobs.pruning.criteria import criterion_function
from secateur_jobs.pruning.engines import make_engine
from secateur_jobs.pruning.layers import cuttable_layers, width
from secateur_jobs.pruning.macs import count
from secateur_jobs.pruning.repair import shrink
from secateur_jobs.pruning.widths import curves_of
from secateur_jobs.runtime.context import StageContext
from secateur_jobs.runtime.errors import InvalidInput, StageError
from secateur_jobs.sources import of_job, pinned
from secateur_jobs.training.answers import judged_by
from secateur_jobs.training.batching import gather
from secateur_jobs.training.drift import drift
from secateur_jobs.training.evaluate import evaluate
from secateur_jobs.training.fine_tune import FineTuning, Recovery
from secateur_jobs.training.held import Parts, parts_of
from secateur_jobs.training.parallel.group import Follower, Leader, meet, wait_for_commit
from secateur_jobs.training.seeding import seed_everything
from secateur_jobs.training.teacher import load_teacher


def run(context: StageContext) -> StageOutcome:
    """Do one round; commits ``checkpoint`` (the pruned net) and ``plan`` (RoundPlan).

    The same round twice gives the same bytes on one machine. The last epoch's weights are kept. What
    follows is chosen by the held-back items; the evaluation set is read once, at the end, for the numbers.
    """
    request, spec = context.request.round, context.request.spec
    if request is None:
        raise InvalidInput(Reason.INVALID_SPEC, "stage round needs the field round: {number, share}")
    seed = _seed(spec.seed, request)
    if context.request.shard > 0:
        return _follow(context, seed)
    leader = meet(context) if context.request.shards > 1 else None
    context.progress(1, "load the model and the data")
    seed_everything(seed)
    state = _State.load(context, request)
    parts = parts_of(context)
    context.progress(5, "choose widths and channels")
    widths, metric_cut = _cut(context, state, parts, request, seed)
    context.progress(13, "evaluate the repaired model", metric_cut)
    metric_repaired = evaluate(state.net, parts.choosing, spec.evaluation)
    if isinstance(leader, Leader):
        _call_followers(context, leader, state, metric_repaired)
    tuned = FineTuning(
        settings=spec.fine_tune,
        evaluation=spec.evaluation,
        progress=context.progress,
        net=state.net,
        teacher=load_teacher(pinned(spec, of_job(context)), state.teacher) or state.teacher,
        parts=parts,
        seed=seed,
        baseline=state.preflight.choosing_metric,
        metric=metric_repaired,
        group=leader,
    ).run()

    content = checkpoint.to_bytes(state.net, spec.model)
    stored = context.put("checkpoint", "checkpoint.safetensors", content)
    context.put_json("plan", _plan(state, widths, tuned))
    counts = count(state.net, spec.model.inputs)
    recovered = tuned.metrics[-1] if tuned.metrics else metric_repaired
    held = parts.held is not None
    metric = evaluate(state.net, parts.eval, spec.evaluation) if held else recovered
    before, goal = state.baseline, spec.evaluation.goal
    return StageOutcome(
        round=RoundOutcome(
            number=request.number,
            share=request.share,
            cut_macs=1 - counts.macs / before.macs,
            cut_params=1 - counts.params / before.params,
            cut_size=1 - len(content) / state.preflight.checkpoint_bytes,
            numbers=ModelNumbers(metric=metric, macs=counts.macs, params=counts.params),
            metric_cut=metric_cut,
            metric_repaired=metric_repaired,
            metric_recovered=recovered if held else None,
            drop=relative_drop(state.preflight.choosing_metric, recovered, goal),
            drift=drift(state.net, state.teacher, parts.eval, spec.evaluation).errors,
            checkpoint_bytes=len(content),
            checkpoint=stored,
        )
    )


@dataclass
class _State:
    """The nets and the table that a round works on."""

    table: GroupTable
    preflight: PreflightOutcome
    teacher: paddle.nn.Layer
    """The unpruned net."""
    net: paddle.nn.Layer
    """The net to go on from: the base round's, or a second copy of the unpruned one."""

    @property
    def baseline(self) -> ModelNumbers:
        return self.preflight.baseline

    @classmethod
    def load(cls, context: StageContext, request: RoundRequest) -> _State:
        preflight = context.upstream("preflight")
        base = request.base if request.base is not None else preflight
        model = context.request.spec.model
        return cls(
            table=context.store.unit_json(preflight, "groups", GroupTable),
            preflight=context.preflight(),
            teacher=checkpoint.from_bytes(context.store.unit_file(preflight, "checkpoint"), model),
            net=checkpoint.from_bytes(context.store.unit_file(base, "checkpoint"), model),
        )


def _seed(seed: int, request: RoundRequest) -> int:
    """Another share of the plan sees other training data; the same share sees the same."""
    return int(seed + round(request.share * 1_000_000)) % 2**31


def _cut(
    context: StageContext, state: _State, parts: Parts, request: RoundRequest, seed: int
) -> tuple[dict[str, int], float]:
    """Bring the net to this round's widths for good, proven, its remaining weights repaired.

    Returns the width of every group, and the metric of the cut net before any repair.
    """
    spec = context.request.spec
    labels = gather(parts.train, [0])[-1]
    engine = make_engine(spec.pruning.engine, state.net, spec.model.inputs, labels)
    now = {group.name: group.channels for group in engine.groups}
    missing = [g.name for g in state.table.groups if g.name not in now]
    if missing:
        raise StageError(Reason.INTERNAL_ERROR, f"the engine does not find group {missing[0]} again")
    widths = _widths(context, state, request, now, labels)
    calibration = Calibration(state.net, parts.train, judged_by(parts.train, spec.evaluation), seed)
    metric = 0.0

    def on_cut() -> None:
        nonlocal metric
        context.progress(8, "evaluate the cut model")
        metric = evaluate(state.net, parts.choosing, spec.evaluation)
        context.progress(10, "repair the weights that are left", metric)

    criterion = criterion_function(spec.pruning.criterion)
    shrink(engine, widths, spec.model.inputs, criterion, calibration, spec.pruning.repair, on_cut)
    return widths, metric


def _widths(
    context: StageContext, state: _State, request: RoundRequest, now: Mapping[str, int], labels: np.ndarray
) -> dict[str, int]:
    """Return the width of every group after this round; ``now`` is what it has, ``labels`` a sample's."""
    spec = context.request.spec
    engine = make_engine(spec.pruning.engine, state.teacher, spec.model.inputs, labels)
    names = {group.name for group in state.table.groups}
    groups = [group for group in engine.groups if group.name in names]
    counts = count(state.teacher, spec.model.inputs)
    costs = cost_models(engine, groups, counts, state.preflight.checkpoint_bytes, spec.model.inputs)
    if spec.pruning.target is not None and spec.pruning.target.latency is not None:
        table = context.store.unit_json(context.upstream("preflight"), "latency", LatencyTable)
        costs["latency"] = latency_model(state.teacher, groups, counts, table)
    points = [
        point
        for unit in context.request.upstream.sensitivity
        for point in context.store.unit_json(unit, "curves", CurveTable).points
    ]
    return planned_widths(state.table.groups, now, spec.pruning, request.share, curves_of(points), costs)


def _call_followers(context: StageContext, leader: Leader, state: _State, metric: float) -> None:
    """Hand the net to the other processes: what they cut themselves could differ in the last bits."""
    spec = context.request.spec
    content = checkpoint.to_bytes(state.net, spec.model)
    start = context.store.put(context.unit, "start.safetensors", content)
    leader.tell(start=start.to_wire(), metric=metric)


def _plan(state: _State, widths: dict[str, int], tuned: Recovery) -> RoundPlan:
    before, after = cuttable_layers(state.teacher), cuttable_layers(state.net)
    return RoundPlan(
        ratios={g.name: 1 - widths[g.name] / g.channels for g in state.table.groups},
        widths=[Width(layer=n, before=width(before[n]), after=width(after[n])) for n in before],
        losses=tuned.losses,
        metrics=tuned.metrics,
        notes=tuned.notes,
    )


def _follow(context: StageContext, seed: int) -> StageOutcome:
    """Train with the leader, which cuts, repairs, evaluates and commits the unit; return its outcome.

    Raises Retryable(WORKER_LOST) if the leader does not come, or ends before it has committed.
    """
    context.progress(1, "wait for the first worker")
    group = meet(context)
    if isinstance(group, Follower):
        _train_along(context, group, seed)
        context.progress(98, "wait for the first worker")
        wait_for_commit(context, group)
    result = context.store.result(context.unit)
    if result is None:
        raise StageError(Reason.INTERNAL_ERROR, f"unit {context.unit} is not committed")
    return result.summary.outcome


def _train_along(context: StageContext, group: Follower, seed: int) -> None:
    spec = context.request.spec
    seed_everything(seed)
    content = context.store.unit_file(context.upstream("preflight"), "checkpoint")
    unpruned = checkpoint.from_bytes(content, spec.model)
    parts = parts_of(context)
    said = group.hear()
    FineTuning(
        settings=spec.fine_tune,
        evaluation=spec.evaluation,
        progress=context.progress,
        net=checkpoint.from_bytes(context.store.get(FileRef.model_validate(said["start"])), spec.model),
        teacher=load_teacher(pinned(spec, of_job(context)), unpruned) or unpruned,
        parts=parts,
        seed=seed,
        baseline=0.0,  # the leader judges
        metric=said["metric"],
        group=group,
    ).run()
