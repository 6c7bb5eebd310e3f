"""What is news, where to look, and which PruningJobs have work left."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from secateur_operator.gateway.kube.children import lacks_pods
from secateur_operator.gateway.kube.hints import Hints
from secateur_operator.gateway.kube.owners import Owners, is_settled
from secateur_operator.gateway.protocol import Key
from tests.unit.kube.captured_jobs import situation

OWNER = "0b9be4a6-7d2e-4f0e-9a56-0e6a3f1f7c11"


def with_status(body: dict[str, Any], **status: Any) -> dict[str, Any]:
    changed = copy.deepcopy(body)
    changed["status"].update(status)
    return changed


def pruning_job(version: str = "1", **more: Any) -> dict[str, Any]:
    meta = {"namespace": "team", "name": "digits", "uid": OWNER, "generation": 1, "resourceVersion": version}
    return {"metadata": {**meta, **more.pop("metadata", {})}, "status": more}


def test_an_unfinished_job_is_looked_at_until_it_has_ended() -> None:
    hints = Hints()
    assert hints.job(situation("running")["job"])
    assert list(hints.active_jobs(OWNER)) == ["running"]
    done = situation("done")["job"]
    done["metadata"] = {**done["metadata"], "name": "running"}
    assert hints.job(done)
    assert not hints.active_jobs(OWNER)


def test_a_job_that_is_gone_is_not_looked_for() -> None:
    hints = Hints()
    body = situation("running")["job"]
    for pod in situation("running")["pods"]:
        hints.pod(pod)
    hints.job(body)
    assert hints.job(body, gone=True)
    assert not hints.active_jobs(OWNER)
    assert not hints.pods(body["metadata"]["uid"])
    assert not hints.job(body, gone=True)


def test_a_job_said_again_is_no_news_and_counters_of_ready_pods_are_none() -> None:
    hints = Hints()
    body = situation("running")["job"]
    hints.job(body)
    assert not hints.job(body)
    assert not hints.job(with_status(body, ready=1, terminating=1))
    assert hints.job(with_status(body, failed=1))


def test_pods_are_known_by_their_job() -> None:
    hints = Hints()
    found = situation("one-of-two")
    for pod in found["pods"]:
        hints.pod(pod)
    uid = found["job"]["metadata"]["uid"]
    assert sorted(hints.pods(uid)) == ["one-of-two-0-tpqpf", "one-of-two-1-stthr"]
    (running,) = hints.running()
    assert running == (running.__class__)(Key("c-trouble", "digits"), "one-of-two", ("one-of-two-0-tpqpf",))
    assert hints.pod(found["pods"][0], gone=True)
    assert hints.running() == []
    assert not hints.pod(found["pods"][0], gone=True)


@pytest.mark.parametrize(
    "name",
    ["gpu-waiter", "bad-image", "running", "oom", "evicted-api", "node-lost-first", "node-lost", "gated"],
)
def test_what_happens_to_a_pod_is_news_once(name: str) -> None:
    hints = Hints()
    pod = situation(name)["pods"][0]
    assert hints.pod(pod)
    assert not hints.pod(pod)


def test_that_a_pod_was_made_and_scheduled_is_no_news() -> None:
    hints = Hints()
    pod = situation("running")["pods"][0]
    assert not hints.pod({**pod, "status": {"phase": "Pending"}})
    scheduled = {"type": "PodScheduled", "status": "True"}
    assert not hints.pod({**pod, "status": {"phase": "Pending", "conditions": [scheduled]}})
    assert hints.pod(pod)


def test_that_a_pod_gets_ready_is_no_news_but_that_its_node_is_silent_is() -> None:
    hints = Hints()
    pod = situation("running")["pods"][0]
    hints.pod(pod)
    ready = [{"type": kind, "status": "True"} for kind in ("ContainersReady", "Ready")]
    assert not hints.pod(with_status(pod, conditions=ready))
    unready = {"type": "Ready", "status": "False", "reason": "ContainersNotReady"}
    assert not hints.pod(with_status(pod, conditions=[unready]))
    assert hints.pod(with_status(pod, conditions=[ready[0], {"type": "Ready", "status": "False"}]))


def test_foreign_objects_are_passed_over() -> None:
    hints = Hints()
    foreign = {"metadata": {"name": "a", "namespace": "b", "uid": "u"}, "status": {}}
    assert not hints.job(foreign)
    assert not hints.pod(foreign)


def test_books_that_count_pods_nobody_heard_of_are_noticed() -> None:
    running, done = situation("running"), situation("done")
    assert not lacks_pods(running["job"], running["pods"])
    assert lacks_pods(running["job"], running["pods"][:1])
    assert not lacks_pods(done["job"], done["pods"])
    assert lacks_pods(done["job"], done["pods"][:1])
    assert not lacks_pods(situation("quota")["job"], [])


@pytest.mark.parametrize(
    ("body", "settled"),
    [
        (pruning_job(), False),
        (pruning_job(phase="Running", observedGeneration=1), False),
        (pruning_job(phase="Suspended", observedGeneration=1), False),
        (pruning_job(phase="Succeeded", observedGeneration=1), True),
        (pruning_job(phase="Failed", observedGeneration=1), True),
        (pruning_job(phase="Failed", observedGeneration=0), False),
        (
            pruning_job(
                phase="Failed",
                observedGeneration=1,
                run=1,
                metadata={"annotations": {"secateur.dev/run": "2"}},
            ),
            False,
        ),
        (
            pruning_job(
                phase="Failed",
                observedGeneration=1,
                run=2,
                metadata={"annotations": {"secateur.dev/run": "2"}},
            ),
            True,
        ),
        (pruning_job(phase="Running", metadata={"deletionTimestamp": "2026-01-01T00:00:00Z"}), True),
    ],
)
def test_a_pruningjob_is_settled_once_it_has_ended_and_nobody_asks_for_more(
    body: dict[str, Any], settled: bool
) -> None:
    assert is_settled(body) is settled
    assert Owners().heard(body) is not settled


def test_a_settled_pruningjob_with_a_running_job_is_worth_a_pass() -> None:
    assert Owners().heard(pruning_job(phase="Failed", observedGeneration=1), active=True)


def test_the_echo_of_our_own_write_is_no_news() -> None:
    owners = Owners()
    running = {"phase": "Running", "observedGeneration": 1, "stage": {"job": "a-job"}}
    owners.wrote(pruning_job("7", **running))
    assert not owners.heard(pruning_job("7", **running))
    assert owners.heard(pruning_job("8", **running))


def test_news_of_a_job_count_for_the_one_that_is_waited_for() -> None:
    owners, key = Owners(), Key("team", "digits")
    owners.wrote(pruning_job("7", phase="Running", stage={"job": "a-job"}))
    assert owners.waits_for(key, "a-job")
    assert not owners.waits_for(key, "an-earlier-job")
    owners.wrote(pruning_job("8", phase="Succeeded", observedGeneration=1))
    assert not owners.waits_for(key, "a-job")
    assert not owners.heard(pruning_job("8"), gone=True)


def test_the_version_that_was_heard_last_is_known() -> None:
    hints = Hints()
    found = situation("running")
    hints.job(found["job"])
    later = copy.deepcopy(found["pods"][0])
    hints.pod(later)
    later["metadata"]["resourceVersion"] = "999999"
    hints.pod(later)
    assert hints.active_jobs(OWNER) == {"running": found["job"]["metadata"]["resourceVersion"]}
    assert hints.pods(found["job"]["metadata"]["uid"])[later["metadata"]["name"]] == "999999"


def test_a_version_that_proved_too_old_is_not_read_by_again() -> None:
    owners = Owners()
    key = Key("team", "digits")
    assert owners.version(key) is None
    owners.heard(pruning_job("7", phase="Running"))
    assert owners.version(key) == "7"
    owners.outdated(key)
    assert owners.version(key) is None
    owners.wrote(pruning_job("9", phase="Running"))
    assert owners.version(key) == "9"
