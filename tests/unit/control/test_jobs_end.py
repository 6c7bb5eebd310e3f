"""Whole jobs on the fake cluster: which stages run, how they end, what the status says."""

from __future__ import annotations

import pytest

from secateur_api import Stage
from secateur_api.base import RUN_ANNOTATION
from secateur_api.conditions import ConditionType, Phase
from secateur_operator.domain.plan import StageJob
from secateur_operator.gateway.protocol import Key
from tests import outcomes
from tests.control_plane.fake_cluster import FakeCluster, ShardEnd
from tests.unit.control.jobs import START, all_well, document, done, drive, failed

STAGES = ["pretrain", "preflight", "sensitivity", "round", "round", "round", "convert", "benchmark", "report"]


def run(script=all_well, **spec) -> tuple[FakeCluster, Key]:
    cluster = FakeCluster(script, START)
    key = cluster.apply(document(**spec))
    drive(cluster, key)
    return cluster, key


def condition(status, kind: ConditionType) -> tuple[str, str]:
    found = next(c for c in status.conditions if c.type is kind)
    return found.status, found.reason


def test_a_job_runs_its_stages_in_order_and_succeeds() -> None:
    cluster, key = run()
    status = cluster.status(key)
    assert [done.name.value for done in status.stages] == STAGES
    assert len(cluster.created) == len(set(cluster.created)) == len(STAGES)
    assert status.phase is Phase.SUCCEEDED
    assert condition(status, ConditionType.READY) == ("True", "ConstraintsMet")
    assert condition(status, ConditionType.CONSTRAINTS_MET) == ("True", "ConstraintsMet")
    assert condition(status, ConditionType.RECONCILING)[0] == "False"
    assert [one.outcome.share for one in status.rounds] == [0.4, 0.8, 1.0]
    assert status.percent == 100
    assert {one.kind for one in status.artifacts} == {"checkpoint", "model", "manifest", "report", "card"}


def test_stages_that_nobody_needs_are_left_out() -> None:
    def script(wanted: StageJob, index: int) -> ShardEnd:
        return done(outcomes.summary(wanted.input, needs_sensitivity=False))

    model = {**document()["spec"]["model"], "weights": {"uri": "w.npz"}}
    del model["pretrain"]
    cluster, key = run(script, model=model, benchmark=[])
    names = [one.name for one in cluster.status(key).stages]
    assert not {Stage.PRETRAIN, Stage.SENSITIVITY, Stage.BENCHMARK} & set(names)
    assert cluster.status(key).phase is Phase.SUCCEEDED


def test_shards_of_sensitivity_reach_the_rounds() -> None:
    seen: list[list[str]] = []

    def script(wanted: StageJob, index: int) -> ShardEnd:
        if wanted.stage is Stage.ROUND:
            seen.append(wanted.input.upstream.sensitivity)
        return all_well(wanted, index)

    run(script, sensitivity={"shards": 3})
    assert all(len(set(units)) == 3 for units in seen)
    assert seen


def test_a_round_below_the_floor_is_rolled_back_and_the_step_halved() -> None:
    def script(wanted: StageJob, index: int) -> ShardEnd:
        bad = wanted.stage is Stage.ROUND and wanted.input.round.number == 2
        return done(outcomes.summary(wanted.input, drop=0.2 if bad else 0.001))

    cluster, key = run(script)
    rounds = cluster.status(key).rounds
    assert [(one.outcome.share, one.accepted) for one in rounds] == [
        (0.4, True),
        (0.8, False),
        (0.6, True),
        (0.8, True),
        (1.0, True),
    ]
    assert cluster.status(key).phase is Phase.SUCCEEDED


def test_a_missed_target_is_failed_with_the_nearest_model_kept() -> None:
    def script(wanted: StageJob, index: int) -> ShardEnd:
        far = wanted.stage is Stage.ROUND and wanted.input.round.share > 0.6
        return done(outcomes.summary(wanted.input, drop=0.2 if far else 0.001))

    cluster, key = run(script)
    status = cluster.status(key)
    assert (status.phase, condition(status, ConditionType.READY)[1]) == (Phase.FAILED, "TargetNotReached")
    assert "MACs cut >= 50%: 30%, 20.0 points short" in status.message
    nearest = next(one for one in status.rounds if one.unit == status.model)
    assert nearest.outcome.share == 0.6
    assert {one.kind for one in status.artifacts} >= {"model", "checkpoint", "report"}


def test_a_target_by_a_model_that_no_round_accepted_is_no_success() -> None:
    def script(wanted: StageJob, index: int) -> ShardEnd:
        return done(outcomes.summary(wanted.input, drop=0.2))

    pruning = {"target": {"macs": "50%"}, "schedule": {"rounds": 1, "step": 0.5}}
    cluster, key = run(script, pruning=pruning)
    status = cluster.status(key)
    assert (status.phase, condition(status, ConditionType.READY)[1]) == (Phase.FAILED, "ConstraintsNotMet")
    assert "no round kept it" in status.message


def test_a_constraint_is_judged_on_the_converted_model() -> None:
    def script(wanted: StageJob, index: int) -> ShardEnd:
        lossy = wanted.stage is Stage.BENCHMARK
        return done(outcomes.summary(wanted.input, drop=0.03 if lossy else 0.0))

    cluster, key = run(script, constraints=[{"metric": "accuracyDrop", "max": "1%"}])
    status = cluster.status(key)
    assert all(one.accepted for one in status.rounds)
    assert condition(status, ConditionType.CONSTRAINTS_MET) == ("False", "ConstraintsNotMet")
    assert "accuracyDrop <= 1% on local-x86 (paddle-lite/x86): 3%, 2.0 points over" in status.message


def test_an_unmeasured_constraint_is_no_success() -> None:
    cluster, key = run(constraints=[{"metric": "accuracyDrop", "max": "1%"}], benchmark=[])
    status = cluster.status(key)
    assert condition(status, ConditionType.READY) == ("False", "NotMeasured")


def test_a_user_error_fails_at_once_with_its_words() -> None:
    def script(wanted: StageJob, index: int) -> ShardEnd:
        return failed(wanted.stage, 64, "FactoryFailed", "spec.model.factory: no such module")

    cluster, key = run(script)
    status = cluster.status(key)
    assert len(cluster.created) == 1
    assert (status.phase, status.message) == (Phase.FAILED, "pretrain: spec.model.factory: no such module")
    assert condition(status, ConditionType.STALLED) == ("True", "FactoryFailed")


def test_what_preflight_notes_is_said() -> None:
    note = "the graph of the network is cut in place of its modules"

    def script(wanted: StageJob, index: int) -> ShardEnd:
        summary = outcomes.summary(wanted.input)
        found = summary.outcome.preflight
        if found is None:
            return done(summary)
        noted = summary.outcome.model_copy(update={"preflight": found.model_copy(update={"notes": [note]})})
        return done(summary.model_copy(update={"outcome": noted}))

    cluster, _ = run(script)
    assert [event.stage for event in cluster.events if event.message == note] == [Stage.PREFLIGHT]


@pytest.mark.parametrize(("code", "message"), [(137, "SIGKILL"), (1, "exit code 1"), (139, "SIGSEGV")])
def test_a_killed_process_is_tried_again(code: int, message: str) -> None:
    def script(wanted: StageJob, index: int) -> ShardEnd:
        if wanted.stage is Stage.PREFLIGHT and wanted.attempt < 3:
            return ShardEnd(code, None)
        return all_well(wanted, index)

    cluster, key = run(script)
    assert cluster.status(key).phase is Phase.SUCCEEDED
    assert [one.attempt for one in cluster.status(key).stages][:2] == [1, 3]
    assert any(event.reason == "Retrying" and message in event.message for event in cluster.events)


def test_retries_end_with_what_was_wrong() -> None:
    def script(wanted: StageJob, index: int) -> ShardEnd:
        return failed(wanted.stage, 75, "StoreFull", "no space left")

    cluster, key = run(script, budget={"retries": 2})
    status = cluster.status(key)
    assert condition(status, ConditionType.READY)[1] == "RetriesExhausted"
    assert "StoreFull: no space left; tried 3 times" in status.message
    assert len(cluster.created) == 3


def test_a_lost_termination_message_is_found_again_by_another_attempt() -> None:
    def script(wanted: StageJob, index: int) -> ShardEnd:
        return ShardEnd(0, None) if wanted.attempt == 1 else all_well(wanted, index)

    cluster, key = run(script)
    assert cluster.status(key).phase is Phase.SUCCEEDED
    assert {one.attempt for one in cluster.status(key).stages} == {2}


def test_the_wall_clock_budget_ends_a_job_and_its_processes() -> None:
    cluster = FakeCluster(all_well, START)
    key = cluster.apply(document(budget={"wallClock": "5s"}))
    status = drive(cluster, key)
    assert condition(status, ConditionType.READY)[1] == "BudgetExceeded"
    assert "5s is spent during" in status.message
    assert cluster.active_jobs(key) == []


def test_suspend_ends_processes_and_does_not_spend_the_budget() -> None:
    cluster = FakeCluster(all_well, START)
    key = cluster.apply(document(budget={"wallClock": "60s"}))
    with pytest.raises(AssertionError, match="did not end"):
        drive(cluster, key, limit=3)
    cluster.apply(document(budget={"wallClock": "60s"}, suspend=True))
    with pytest.raises(AssertionError, match="suspended"):
        drive(cluster, key, limit=500)
    assert cluster.active_jobs(key) == []
    assert cluster.status(key).phase is Phase.SUSPENDED
    cluster.apply(document(budget={"wallClock": "60s"}))
    status = drive(cluster, key)
    assert (status.phase, status.run) == (Phase.SUCCEEDED, 1)
    assert 490 < status.paused_seconds < 510


def test_a_changed_spec_starts_anew_and_ends_what_ran() -> None:
    cluster = FakeCluster(all_well, START)
    key = cluster.apply(document())
    with pytest.raises(AssertionError, match="did not end"):
        drive(cluster, key, limit=3)
    old = cluster.active_jobs(key)
    cluster.apply(document(seed=7))
    status = drive(cluster, key)
    assert (status.phase, status.run, status.observed_generation) == (Phase.SUCCEEDED, 2, 2)
    assert cluster.deleted == old


def test_a_failed_job_starts_again_when_asked() -> None:
    broken = True

    def script(wanted: StageJob, index: int) -> ShardEnd:
        if broken and wanted.stage is Stage.CONVERT:
            return failed(wanted.stage, 64, "ToolchainMissing", "no Paddle Lite")
        return all_well(wanted, index)

    cluster, key = run(script)
    assert cluster.status(key).phase is Phase.FAILED
    broken = False
    again = document()
    again["metadata"]["annotations"] = {RUN_ANNOTATION: "2"}
    cluster.apply(again)
    status = drive(cluster, key)
    assert (status.phase, status.run) == (Phase.SUCCEEDED, 2)


def test_an_ended_job_is_not_touched_again() -> None:
    cluster, key = run()
    before = (cluster.status(key), cluster.writes)
    for name in list(cluster.created):
        cluster.lose_job(key, name)
    cluster.pending.add(key)
    drive(cluster, key)
    assert (cluster.status(key), cluster.writes) == before


def test_a_document_that_is_no_pruning_job_is_refused_in_its_status() -> None:
    cluster = FakeCluster(all_well, START)
    wrong = document()
    wrong["spec"]["prunning"] = wrong["spec"].pop("pruning")
    key = cluster.apply(wrong)
    status = drive(cluster, key)
    assert condition(status, ConditionType.READY)[1] == "InvalidSpec"
    assert "did you mean 'pruning'" in status.message
    assert [(said.type, said.reason, said.message) for said in cluster.events] == [
        ("Warning", "InvalidSpec", status.message)
    ]
    cluster.apply(document())
    assert drive(cluster, key).phase is Phase.SUCCEEDED


def test_one_bad_shard_that_no_retry_can_mend_decides() -> None:
    def script(wanted: StageJob, index: int) -> ShardEnd:
        if wanted.stage is Stage.SENSITIVITY:
            return ShardEnd(137, None) if index == 0 else failed(wanted.stage, 64, "DatasetInvalid", "item 3")
        return all_well(wanted, index)

    cluster, key = run(script, sensitivity={"shards": 2})
    assert condition(cluster.status(key), ConditionType.READY)[1] == "DatasetInvalid"
