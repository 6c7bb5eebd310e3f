"""Names, retries, progress, percent: the small policies."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secateur_api import PruningJobStatus, Stage
from secateur_api.stage import Progress
from secateur_api.status import CurrentStage
from secateur_operator.domain import progress, record, start
from secateur_operator.domain.observed import JobState, ObservedJob, ObservedShard
from secateur_operator.domain.plan import LIMIT, child_name
from tests.control_plane.fake_cluster import FakeCluster
from tests.unit.control.jobs import START, all_well, document, drive


@given(
    name=st.from_regex(r"[a-z0-9]([-a-z0-9]{0,50}[a-z0-9])?", fullmatch=True),
    run=st.integers(1, 999),
    stage=st.sampled_from(Stage),
    number=st.one_of(st.none(), st.integers(1, 100)),
    attempt=st.integers(1, 21),
)
def test_child_names_are_valid_and_tell_everything_apart(
    name: str, run: int, stage: Stage, number: int | None, attempt: int
) -> None:
    found = child_name(name, "u", run, stage, number, attempt)
    assert len(found) <= LIMIT
    assert re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", found)
    others = [
        child_name(name, "v", run, stage, number, attempt),
        child_name(name, "u", run + 1, stage, number, attempt),
        child_name(name, "u", run, stage, (number or 0) + 1, attempt),
        child_name(name, "u", run, stage, number, attempt + 1),
    ]
    assert len({found, *others}) == 5


def test_delays_grow_with_a_jitter_that_the_name_decides() -> None:
    first = [record.delay(f"job-{index}", 1) for index in range(50)]
    assert len({round(wait, 3) for wait in first}) > 40
    assert all(4.0 <= wait <= 6.0 for wait in first)
    assert record.delay("job", 2) == 2 * record.delay("job", 1)
    assert record.delay("job", 20) <= 360.0


def shard(index: int, state: JobState = JobState.FAILED, **fields: object) -> ObservedShard:
    return ObservedShard(index, state, **fields)  # type: ignore[arg-type]


def observed(*shards: ObservedShard) -> ObservedJob:
    return ObservedJob("name", "uid", 1, JobState.FAILED, shards)


@pytest.mark.parametrize(
    ("code", "words", "retryable"),
    [
        (137, "was killed by SIGKILL", True),
        (1, "ended with exit code 1", True),
        (None, "disappeared", True),
        (64, "ended with exit code 64", True),
        (70, "ended with exit code 70", False),
        (255, "ended with exit code 255", True),
    ],
)
def test_a_failure_without_a_message(code: int | None, words: str, retryable: bool) -> None:
    found = record.failure_of(observed(shard(0, exit_code=code, last_line="Segmentation fault")))
    assert words in found.message
    assert "its last line: Segmentation fault" in found.message
    assert found.retryable is retryable


def test_a_garbled_message_is_no_message() -> None:
    found = record.failure_of(observed(shard(0, exit_code=64, message="{not json")))
    assert (found.reason, found.retryable) == ("Killed", True)


def line(percent_done: float, at: float, **fields: object) -> str:
    return Progress(percent=percent_done, step=f"at {at}", at=at, **fields).model_dump_json(by_alias=True)  # type: ignore[arg-type]


def test_progress_of_shards_is_their_mean_and_their_newest_word() -> None:
    found = progress.of_job(
        observed(
            shard(0, JobState.SUCCEEDED),
            shard(1, JobState.RUNNING, progress=line(50, 10.0, metric=0.5, eta_seconds=30.0)),
            shard(2, JobState.RUNNING, progress=line(30, 20.0, eta_seconds=70.0)),
            shard(3, JobState.PENDING),
        )
    )
    assert found is not None
    assert (found.percent, found.step, found.eta_seconds) == (45.0, "at 20.0", 70.0)
    assert found.heartbeat == "1970-01-01T00:00:20.000Z"


def test_progress_before_any_line_or_of_a_foreign_one_is_none() -> None:
    assert progress.of_job(observed(shard(0, JobState.RUNNING))) is None
    assert progress.of_job(observed(shard(0, JobState.RUNNING, progress='{"half'))) is None


def test_the_percentage_never_goes_back() -> None:
    cluster = FakeCluster(all_well, START)
    key = cluster.apply(document())
    seen = [0.0]
    for _ in range(200):
        try:
            status = drive(cluster, key, limit=1)
        except AssertionError:
            seen.append(cluster.status(key).percent)
        else:
            seen.append(status.percent)
            break
    assert seen == sorted(seen)
    assert seen[-1] == 100
    assert len(set(seen)) > 6


def test_a_retry_that_waits_is_due_once_its_user_is_back() -> None:
    waiting = CurrentStage(
        name=Stage.ROUND,
        attempt=3,
        job="a",
        started_at="2030-01-01T00:00:00Z",
        not_before="2030-01-01T00:05:00Z",
    )
    eager = start.without_wait(PruningJobStatus(stage=waiting)).stage
    assert eager == waiting.model_copy(update={"not_before": None})
    assert start.without_wait(PruningJobStatus()) == PruningJobStatus()
