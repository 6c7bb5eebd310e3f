"""A follower's round: the leader cuts, repairs, evaluates and commits; a follower only trains with it."""

from __future__ import annotations

from secateur_api.conditions import Reason
from secateur_api.results import StageOutcome
from secateur_api.stage import FileRef
from secateur_jobs import checkpoint
from secateur_jobs.runtime.context import StageContext
from secateur_jobs.runtime.errors import StageError
from secateur_jobs.sources import of_job, pinned
from secateur_jobs.training.fine_tune import FineTuning
from secateur_jobs.training.held import parts_of
from secateur_jobs.training.parallel.group import Follower, meet, wait_for_commit
from secateur_jobs.training.seeding import seed_everything
from secateur_jobs.training.teacher import load_teacher


def follow_round(context: StageContext, seed: int) -> StageOutcome:
    """Train with the leader until it has committed the unit; return the unit's outcome.

    Raises Retryable(WORKER_LOST) if the leader does not come, or ends before it has committed.
    """
    context.progress(1, "wait for the first worker")
    group = meet(context)
    if isinstance(group, Follower):
        _train(context, group, seed)
        context.progress(98, "wait for the first worker")
        wait_for_commit(context, group)
    result = context.store.result(context.unit)
    if result is None:
        raise StageError(Reason.INTERNAL_ERROR, f"unit {context.unit} is not committed")
    return result.summary.outcome


def _train(context: StageContext, group: Follower, seed: int) -> None:
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
