"""The decision: from what was seen and the time to the new status, actions, events and the next look."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

from secateur_api import PruningJobSpec, PruningJobStatus, Stage
from secateur_api.conditions import ConditionType, Phase, Reason
from secateur_api.status import CurrentStage
from secateur_operator.domain import conditions, judge, progress, record, rounds, start, times
from secateur_operator.domain.decision import Action, Create, Decision, Delete, Event
from secateur_operator.domain.observed import JobState, Observed, ObservedJob, Trouble
from secateur_operator.domain.plan import child_name, resolved_spec, stage_job
from secateur_operator.domain.record import Failure
from secateur_operator.domain.times import moment_of, seconds_between, stamp


def decide(observed: Observed, now: datetime) -> Decision:
    """Decide one pass. Pure; calling it again with what it led to changes nothing more."""
    return _Pass(observed, now).run()


_NO_STORE = (
    "spec.store: a store is required, because the operator has no default store; "
    "name a claim of this namespace, or a uri such as 's3://bucket/prefix'"
)


class _Pass:
    """One decision at work; ``status`` is the status so far."""

    def __init__(self, observed: Observed, now: datetime) -> None:
        self.observed = observed
        self.job = observed.job
        self.now = now
        self.status: PruningJobStatus = observed.job.status
        self.events: list[Event] = []

    def run(self) -> Decision:
        run = start.next_run(self.job, self.observed.defaults)
        if run is not None:
            self.status = start.begun(self.job, run, self.now, self.observed.defaults)
            self._say(Reason.QUEUED, f"run {run} starts")
        else:
            self.status = start.moved(self.status, self.observed.defaults)
        if self.status.phase.is_final:
            self._see_generation()
            return self._decision(*self._garbage(keep=None))
        if run is None and self.status.observed_generation != self.job.metadata.generation:
            self.status = start.refreshed(self.job, self.status)
        if self.job.spec.suspend:
            return self._suspend()
        self._resume()
        spec = resolved_spec(self.status)
        if spec.store is None:
            return self._fail(Failure(Reason.INVALID_SPEC.value, _NO_STORE, retryable=False))
        if self.observed.full and not start.has_begun(self.status):
            return self._wait_for_room()
        if conditions.reason(self.status, ConditionType.RECONCILING) == Reason.LIMIT_REACHED:
            self.status = self.status.model_copy(update={"started_at": stamp(self.now)})
        if times.seconds_left(spec, self.status, self.now) <= 0:
            budget = f"budget.wallClock of {spec.budget.wall_clock} is spent{self._during()}"
            return self._fail(Failure(Reason.BUDGET_EXCEEDED.value, budget, retryable=False))
        return self._advance(spec)

    def _wait_for_room(self) -> Decision:
        """Others run, as many as may at a time; the budget does not go on meanwhile."""
        if conditions.reason(self.status, ConditionType.RECONCILING) != Reason.LIMIT_REACHED:
            self._say(Reason.LIMIT_REACHED, self.observed.full)
        self._phase(Phase.PENDING, Reason.LIMIT_REACHED, self.observed.full)
        return self._decision(*self._garbage(keep=None), requeue_after=conditions.ROOM_SECONDS)

    # ---- the current stage ----

    def _advance(self, spec: PruningJobSpec) -> Decision:
        current = self.status.stage
        if current is None:
            return self._next(spec)
        child = self.observed.child(current.job)
        if child is None:
            return self._create(spec, current)
        if child.state.is_active:
            return self._watch(spec, child)
        if child.state is JobState.FAILED:
            return self._failed(spec, current, record.failure_of(child), child.tries)
        summaries = record.summaries_of(current, child)
        if isinstance(summaries, Failure):
            return self._unread(spec, current, summaries)
        self.status = record.finished(spec, self.status, child, summaries, self.now)
        self._say_finished(current)
        return self._next(spec)

    def _next(self, spec: PruningJobSpec) -> Decision:
        following = rounds.following(spec, self.status)
        if following is None:
            return self._judge(spec)
        if following.stage is Stage.REPORT:
            self.status = self.status.model_copy(update={"constraints": judge.judge(spec, self.status)})
        current = CurrentStage(
            name=following.stage,
            round=following.round,
            job=self._name(following.stage, following.round.number if following.round else None, 1),
            started_at=stamp(self.now),
        )
        self._say(Reason.STAGE_RUNNING, f"{_title(current)} starts", of=current)
        return self._create(spec, current)

    def _create(self, spec: PruningJobSpec, current: CurrentStage) -> Decision:
        """Make the current stage's Job, or wait for its back-off; also where the Job was lost."""
        self.status = self.status.model_copy(update={"stage": current})
        if current.not_before is not None and moment_of(current.not_before) > self.now:
            wait = (moment_of(current.not_before) - self.now).total_seconds()
            return self._decision(*self._garbage(keep=current.job), requeue_after=wait)
        if not self._was_refused():
            self._running(spec, Reason.STAGE_RUNNING, f"{_title(current)} is running")
        left = self._until_deadline(spec)
        create = Create(stage_job(self.job, self.status, current, left))
        return self._decision(*self._garbage(keep=current.job), create, requeue_after=left)

    def _was_refused(self) -> bool:
        """Whether the last try to create this Job was refused: that stays said until one succeeds."""
        reason = conditions.reason(self.status, ConditionType.RECONCILING)
        return reason == Reason.JOB_REFUSED and self.status == self.job.status

    def _watch(self, spec: PruningJobSpec, child: ObservedJob) -> Decision:
        current = self.status.stage
        if current is None:
            raise ValueError("no stage is under way")
        if conditions.gives_up_gpu(spec, current, child, self.now):
            return self._to_cpu(spec, current)
        self.status = self.status.model_copy(update={"progress": progress.of_job(child)})
        trouble = child.trouble
        if trouble is None:
            self._running(spec, Reason.STAGE_RUNNING, f"{_title(current)} is running")
        else:
            self._in_trouble(spec, current, trouble)
        look = conditions.look_again(spec, current, child)
        return self._decision(
            *self._garbage(keep=current.job), requeue_after=min(look, self._until_deadline(spec))
        )

    def _in_trouble(self, spec: PruningJobSpec, current: CurrentStage, trouble: Trouble) -> None:
        message = f"{_title(current)}: {trouble.message}"
        if conditions.reason(self.job.status, ConditionType.RECONCILING) != trouble.reason:
            self._say(trouble.reason, message, warning=trouble.reason not in conditions.HARMLESS)
        self._running(spec, trouble.reason, message)

    def _to_cpu(self, spec: PruningJobSpec, current: CurrentStage) -> Decision:
        again = self._again(current, current.attempt + 1, on_cpu=True)
        self._say(
            Reason.UNSCHEDULABLE, f"{_title(current)}: no GPU came free in time; it runs on the CPU", True
        )
        return self._create(spec, again)

    def _unread(self, spec: PruningJobSpec, current: CurrentStage, failure: Failure) -> Decision:
        """The work is done, but its message is lost: read the result from the store, never guess."""
        if current.recall:
            return self._failed(spec, current, failure)
        self._say(Reason.RETRYING, f"{_title(current)}: {failure.message}; reading it from the store", True)
        return self._create(spec, self._again(current, current.attempt, recall=True))

    def _failed(
        self, spec: PruningJobSpec, current: CurrentStage, failure: Failure, tries: int = 1
    ) -> Decision:
        if self._can_mend(spec, failure):
            return self._mend(failure, current)
        if not failure.retryable:
            return self._fail(failure, current)
        tried_times = current.attempt - 1 + tries
        if tried_times > spec.budget.retries:
            tried = f"{failure.reason}: {failure.message}; tried {tried_times} times"
            return self._fail(Failure(Reason.RETRIES_EXHAUSTED.value, tried, False, failure.log), current)
        wait = record.delay(current.job, current.attempt)
        attempt = current.attempt + tries
        again = self._again(current, attempt, not_before=stamp(self.now + timedelta(seconds=wait)))
        message = (
            f"{_title(current)}: {failure.reason}: {failure.message}; "
            f"attempt {attempt} of {spec.budget.retries + 1} in {wait:.0f} s"
        )
        self.status = self.status.model_copy(update={"stage": again, "progress": None})
        self._running(spec, Reason.RETRYING, message)
        self._say(Reason.RETRYING, message, warning=True)
        return self._decision(requeue_after=wait)

    def _can_mend(self, spec: PruningJobSpec, failure: Failure) -> bool:
        known = {unit for done in self.status.stages for unit in done.units}
        return failure.damaged in known and self.status.mended < spec.budget.retries

    def _mend(self, failure: Failure, current: CurrentStage) -> Decision:
        """Go through the stages again: each looks at its unit, and only what is damaged is done again."""
        self._say(Reason.RETRYING, f"{_title(current)}: {failure.message}", True)
        self.status = start.mending(self.job, self.status, self.now, self.observed.defaults)
        self._say(Reason.QUEUED, f"run {self.status.run} starts, to make {failure.damaged} again")
        return self._next(resolved_spec(self.status))

    def _again(self, current: CurrentStage, attempt: int, **changes: object) -> CurrentStage:
        """Return the current stage's next try: another Job of another name."""
        number = current.round.number if current.round else None
        recall = bool(changes.get("recall", False))
        name = self._name(current.name, number, attempt, recall)
        wanted = {"attempt": attempt, "job": name, "recall": False, "not_before": None, **changes}
        return current.model_copy(update=wanted)

    # ---- ends ----

    def _judge(self, spec: PruningJobSpec) -> Decision:
        verdict = judge.verdict(spec, self.status)
        phase = Phase.SUCCEEDED if verdict.holds else Phase.FAILED
        message = "; ".join(filter(None, (verdict.message, record.reuse_of_job(self.status))))
        self._end(phase, verdict.reason, message, verdict.holds)
        self.status = self.status.model_copy(update={"constraints": verdict.judged, "percent": 100.0})
        return self._decision(*self._garbage(keep=None))

    def _fail(self, failure: Failure, current: CurrentStage | None = None) -> Decision:
        where = f"{_title(current)}: " if current else ""
        log = f" (log: {failure.log})" if failure.log else ""
        self._end(Phase.FAILED, failure.reason, f"{where}{failure.message}{log}", None)
        return self._decision(*self._garbage(keep=None))

    def _end(self, phase: Phase, reason: str, message: str, met: bool | None) -> None:
        of = self.status.stage
        self.status = self.status.model_copy(
            update={"finished_at": stamp(self.now), "stage": None, "progress": None}
        )
        self.status = conditions.with_phase(
            self.status,
            phase,
            reason,
            message,
            generation=self.job.metadata.generation,
            now=self.now,
            constraints_met=met,
            constraints_reason=Reason.NOT_MEASURED.value if met is None else reason,
        )
        kind: Literal["Normal", "Warning"] = "Normal" if phase is Phase.SUCCEEDED else "Warning"
        self.events.append(Event(kind, reason, message, of.name if of else None))

    # ---- suspension ----

    def _suspend(self) -> Decision:
        if self.status.phase is not Phase.SUSPENDED:
            message = f"suspended by spec.suspend{self._during()}"
            self._phase(Phase.SUSPENDED, Reason.SUSPENDED, message)
            self.status = self.status.model_copy(update={"progress": None})
            self._say(Reason.SUSPENDED, message)
        self._see_generation()
        return self._decision(*self._garbage(keep=None))

    def _resume(self) -> None:
        if self.status.phase is not Phase.SUSPENDED:
            return
        since = conditions.since(self.status, ConditionType.SUSPENDED)
        paused = seconds_between(since, self.now) if since else 0.0
        self.status = self.status.model_copy(update={"paused_seconds": self.status.paused_seconds + paused})
        self._phase(Phase.RUNNING, Reason.RESUMED, "resumed")
        self._say(Reason.RESUMED, "resumed")

    # ---- small parts ----

    def _garbage(self, keep: str | None) -> list[Action]:
        """Jobs that still run and must not: of an earlier run, that waits for a GPU given up, or any when
        nothing may run.

        Jobs of this run that the status has moved past are left alone: a Job that looks active but is
        recorded as ended was read late.
        """
        past = {done.job for done in self.status.stages}
        left_waiting = self.status.stage is not None and self.status.stage.on_cpu
        return [
            Delete(child.name, child.uid)
            for child in self.observed.children
            if child.state.is_active
            and child.name != keep
            and (keep is None or child.run != self.status.run or left_waiting)
            and child.name not in past
        ]

    def _running(self, spec: PruningJobSpec, reason: Reason, message: str) -> None:
        self.status = self.status.model_copy(update={"percent": progress.percent_of_job(spec, self.status)})
        self._phase(Phase.RUNNING, reason, message)

    def _phase(self, phase: Phase, reason: Reason, message: str) -> None:
        generation = self.job.metadata.generation
        self.status = conditions.with_phase(
            self.status, phase, reason.value, message, generation=generation, now=self.now
        )

    def _see_generation(self) -> None:
        """Note that a change of the spec was seen where it changes nothing else."""
        self.status = conditions.with_generation(self.status, self.job.metadata.generation)

    def _name(self, stage: Stage, number: int | None, attempt: int, recall: bool = False) -> str:
        meta = self.job.metadata
        return child_name(meta.name, meta.uid, self.status.run, stage, number, attempt, recall)

    def _until_deadline(self, spec: PruningJobSpec) -> float:
        return max(0.0, times.seconds_left(spec, self.status, self.now))

    def _during(self) -> str:
        return f" during {_title(self.status.stage)}" if self.status.stage else ""

    def _say(
        self, reason: Reason, message: str, warning: bool = False, of: CurrentStage | None = None
    ) -> None:
        """Say something of a stage: the current one, where no other is named."""
        of = of or self.status.stage
        kind: Literal["Normal", "Warning"] = "Warning" if warning else "Normal"
        self.events.append(Event(kind, reason.value, message, of.name if of else None))

    def _say_finished(self, current: CurrentStage) -> None:
        done = self.status.stages[-1]
        found = f", found in the store ({record.reuse_of_stage(done)})" if done.reused else ""
        self._say(Reason.DONE, f"{_title(current)} done in {done.seconds:.1f} s{found}", of=current)
        if done.note:
            self._say(Reason.DONE, f"{_title(current)}: {done.note}", True, current)
        if current.name is Stage.PREFLIGHT and self.status.preflight is not None:
            for note in self.status.preflight.notes:
                self._say(Reason.DONE, note, of=current)
        if current.name is not Stage.ROUND:
            return
        last = self.status.rounds[-1]
        gate = "accepted" if last.accepted else "rolled back"
        message = (
            f"{_title(current)} {gate}: drop {100 * last.outcome.drop:.2f}%, "
            f"floor {100 * last.floor:.2f}%, MACs cut {100 * last.outcome.cut_macs:.1f}%"
        )
        self._say(Reason.DONE, message, not last.accepted, current)
        chosen = rounds.candidate(self.status.rounds)
        if chosen is not last and not last.accepted and chosen is not None:
            self._say(Reason.DONE, f"going on from round {chosen.outcome.number}", of=current)

    def _decision(self, *actions: Action, requeue_after: float | None = None) -> Decision:
        status = conditions.with_printed(self.status)
        return Decision(status, tuple(actions), tuple(self.events), requeue_after)


def _title(stage: CurrentStage) -> str:
    return f"round {stage.round.number}" if stage.round else stage.name.value
