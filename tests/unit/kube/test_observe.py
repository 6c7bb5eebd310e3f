"""What a decision sees of a Job and its pods."""

from __future__ import annotations

from typing import Any

import pytest

from secateur_operator.domain.observed import JobState, ObservedJob
from secateur_operator.gateway.kube.observe import observe
from tests.unit.kube.captured_jobs import situation


def seen(name: str, **more: Any) -> ObservedJob:
    found = situation(name)
    return observe(found["job"], found["pods"], **more)


@pytest.mark.parametrize(
    ("name", "state", "codes", "tries"),
    [
        ("done", JobState.SUCCEEDED, [0, 0], 1),
        ("running", JobState.RUNNING, [None, None], 1),
        ("one-of-two", JobState.RUNNING, [None, 0], 1),
        ("suspended", JobState.PENDING, [None], 1),
        ("gpu-waiter", JobState.PENDING, [None], 1),
        ("quota", JobState.PENDING, [None], 1),
        ("exit-64", JobState.FAILED, [64], 1),
        ("exit-75", JobState.FAILED, [75], 1),
        ("exit-75-retrying", JobState.PENDING, [75], 4),
        ("oom", JobState.FAILED, [137], 1),
        ("oom-retrying", JobState.PENDING, [137], 4),
        ("no-program", JobState.FAILED, [128], 1),
        ("deadline", JobState.FAILED, [None], 1),
        ("evicted-api-after", JobState.RUNNING, [None], 1),
    ],
)
def test_the_state_of_a_job(name: str, state: JobState, codes: list[int | None], tries: int) -> None:
    job = seen(name)
    assert (job.state, [shard.exit_code for shard in job.shards], job.tries) == (state, codes, tries)


def test_a_job_has_succeeded_before_it_says_so() -> None:
    found = situation("done")
    found["job"]["status"] = {"active": 2, "startTime": "2026-11-24T09:03:22Z"}
    job = observe(found["job"], found["pods"])
    assert job.state is JobState.SUCCEEDED
    assert all('"ok": true' in (shard.message or "") for shard in job.shards)
    assert job.finished_at == "2026-11-24T09:03:23Z"


def test_a_job_whose_pods_are_gone_tells_from_its_books() -> None:
    found = situation("done")
    job = observe(found["job"], found["pods"][:1])
    assert [(shard.state, shard.message is None) for shard in job.shards] == [
        (JobState.SUCCEEDED, False),
        (JobState.SUCCEEDED, True),
    ]
    found["job"]["status"] = {"active": 1, "completedIndexes": "1"}
    assert [shard.state for shard in observe(found["job"], ()).shards] == [
        JobState.PENDING,
        JobState.SUCCEEDED,
    ]


def test_a_failed_pod_is_no_failed_job_until_the_job_says_so() -> None:
    found = situation("exit-64")
    found["job"]["status"].pop("conditions")
    assert observe(found["job"], found["pods"]).state.is_active


def test_the_newest_pod_of_an_index_counts() -> None:
    found = situation("exit-75-retrying")
    newest = observe(found["job"], list(reversed(found["pods"]))).shards[0]
    assert newest == observe(found["job"], found["pods"]).shards[0]
    assert newest.log == "kubectl logs -n c-trouble exit-75-retrying-0-vbs2h"
    running = situation("running")["pods"][0]
    assert observe(found["job"], [running, *found["pods"]]).shards[0].state is JobState.RUNNING


def test_what_a_log_says_goes_with_its_pod() -> None:
    name = situation("exit-1")["pods"][0]["metadata"]["name"]
    assert seen("exit-1", last_lines={name: "last words"}).shards[0].last_line == "last words"
    assert "no such file or directory" in (seen("no-program").shards[0].last_line or "")
    running = situation("running")["pods"][1]["metadata"]["name"]
    lines = [shard.progress for shard in seen("running", progress={running: "{}"}).shards]
    assert lines == [None, "{}"]


def test_the_command_for_the_log_names_the_container_where_there_are_several() -> None:
    found = situation("running")
    found["pods"][0]["spec"]["containers"].append({"name": "proxy"})
    log = observe(found["job"], found["pods"]).shards[0].log
    assert log == "kubectl logs -n c-trouble running-0-72qq4 -c stage"
