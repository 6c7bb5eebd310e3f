"""The round policy."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secateur_api import PruningJobSpec, StageInput
from secateur_api.status import RoundStatus
from secateur_operator.domain import rounds
from tests import outcomes
from tests.unit.control.jobs import job


def spec_of(**pruning: Any) -> PruningJobSpec:
    return job(pruning=pruning).spec


def play(spec: PruningJobSpec, drops: list[float]) -> list[RoundStatus]:
    """Run rounds with these drops until the policy ends them."""
    done: list[RoundStatus] = []
    step = rounds.first_step(spec)
    for drop in drops:
        request = rounds.next_round(spec, done, step)
        if request is None:
            break
        stage_input = StageInput(job="j", stage="round", spec=spec, store="memory://s", round=request)
        outcome = outcomes.round_outcome(stage_input, drop)
        accepted = rounds.is_accepted(outcome, rounds.floor(spec))
        step = rounds.next_step(step, done, outcome, accepted)
        done.append(
            RoundStatus(
                outcome=outcome,
                accepted=accepted,
                floor=rounds.floor(spec),
                seconds=1,
                job="j",
                unit=f"round-{request.number}",
            )
        )
    return done


@pytest.mark.parametrize(
    ("pruning", "shares"),
    [
        ({"target": {"macs": "50%"}, "schedule": {"rounds": 5, "step": 0.2}}, [0.4, 0.8, 1.0]),
        ({"target": {"macs": "50%"}, "schedule": {"rounds": 5, "step": 0.1}}, [0.2, 0.4, 0.6, 0.8, 1.0]),
        ({"target": {"params": "30%"}, "schedule": {"rounds": 3, "step": 0.1}}, [0.333333, 0.666666, 1.0]),
        ({"target": {"macs": "50%"}, "schedule": {"rounds": 1, "step": 1}}, [1.0]),
        ({"layers": [{"match": "*", "ratio": 0.4}], "schedule": {"step": 0.2}}, [0.5, 1.0]),
        ({"layers": [{"match": "*", "ratio": 0}]}, [1.0]),
        ({"target": {"macs": "0%"}}, [1.0]),
    ],
)
def test_shares_of_a_job_that_recovers(pruning: dict[str, Any], shares: list[float]) -> None:
    done = play(spec_of(**pruning), [0.0] * 20)
    assert [one.outcome.share for one in done] == pytest.approx(shares, abs=1e-5)
    assert done[-1].outcome.share == 1.0


def test_each_round_goes_on_from_the_last_accepted() -> None:
    spec = spec_of(target={"macs": "50%"}, schedule={"rounds": 10, "step": 0.2})
    done = play(spec, [0.0, 0.9, 0.0])
    step = rounds.first_step(spec) / 2
    assert rounds.next_round(spec, done, step).base == "round-3"
    assert rounds.next_round(spec, done[:2], step).base == "round-1"
    assert rounds.next_round(spec, [], step).base is None


def test_a_short_last_step_that_fails_is_halved_too() -> None:
    """The step is 0.4 of the plan, but only 0.2 was left: half of that comes next, not the same again."""
    spec = spec_of(target={"macs": "50%"}, schedule={"rounds": 10, "step": 0.2})
    done = play(spec, [0.0, 0.0, 0.9, 0.0, 0.0])
    assert [one.outcome.share for one in done] == pytest.approx([0.4, 0.8, 1.0, 0.9, 1.0])


def test_rounds_end_below_the_smallest_step() -> None:
    spec = spec_of(target={"macs": "50%"}, schedule={"rounds": 50, "step": 0.2, "minStep": 0.05})
    done = play(spec, [0.9] * 50)
    assert [one.outcome.share for one in done] == pytest.approx([0.4, 0.2, 0.1])


def test_a_first_step_below_the_smallest_runs_all_the_same() -> None:
    spec = spec_of(target={"macs": "1%"}, schedule={"rounds": 5, "step": 0.01, "minStep": 0.02})
    assert len(play(spec, [0.0])) == 1


@pytest.mark.parametrize(
    ("schedule", "constraints", "floor"),
    [
        ({"floor": "3%"}, [{"metric": "accuracyDrop", "max": "1%"}], 0.03),
        ({}, [{"metric": "accuracyDrop", "max": "4%"}, {"metric": "accuracyDrop", "max": "2%"}], 0.02),
        ({}, [], 0.05),
    ],
)
def test_floor(schedule: dict[str, Any], constraints: list[Any], floor: float) -> None:
    spec = job(pruning={"target": {"macs": "50%"}, "schedule": schedule}, constraints=constraints).spec
    assert rounds.floor(spec) == pytest.approx(floor)


def test_the_candidate_is_the_last_accepted_else_the_least_drop() -> None:
    spec = spec_of(target={"macs": "50%"}, schedule={"rounds": 10, "step": 0.2})
    assert rounds.candidate(play(spec, [0.0, 0.9])).unit == "round-1"
    assert rounds.candidate(play(spec, [0.3, 0.2, 0.4])).unit == "round-2"
    assert rounds.candidate([]) is None


@given(
    target=st.integers(1, 100),
    step=st.floats(0.01, 1.0),
    limit=st.integers(1, 100),
    drops=st.lists(st.sampled_from([0.0, 0.04, 0.06, 0.5]), min_size=100, max_size=100),
)
def test_rounds_always_end_and_only_grow_from_accepted_ones(
    target: int, step: float, limit: int, drops: list[float]
) -> None:
    if target / 100 > limit * step:
        return
    spec = spec_of(target={"macs": f"{target}%"}, schedule={"rounds": limit, "step": step, "minStep": 0.01})
    done = play(spec, drops)
    assert 1 <= len(done) <= limit
    reached = 0.0
    tried = set()
    for one in done:
        assert reached < one.outcome.share <= 1.0
        assert (reached, one.outcome.share) not in tried, "the same round is not tried twice"
        tried.add((reached, one.outcome.share))
        reached = one.outcome.share if one.accepted else reached
    if all(one.accepted for one in done) and len(done) < limit:
        assert reached == 1.0
