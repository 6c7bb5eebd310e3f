"""What is said of Jobs that do not get on: the reason, what is wrong, and the remedy."""

from __future__ import annotations

import pytest

from secateur_api.conditions import Reason
from secateur_operator.gateway.kube.trouble import find, unexplained
from tests.unit.kube.captured_jobs import FOLDER, sight

SAID: dict[str, tuple[Reason, tuple[str, ...]]] = {
    "as-root": (Reason.POD_REFUSED, ("image will run as root", "spec.image")),
    "bad-image": (Reason.IMAGE_UNAVAILABLE, ("'localhost/nope:1'", "connection refused", "imagePullSecrets")),
    "bad-image-name": (Reason.IMAGE_UNAVAILABLE, ("must be lowercase", "spec.image")),
    "never-image": (Reason.IMAGE_UNAVAILABLE, ("pull policy of Never", "spec.image")),
    "too-much-cpu": (Reason.UNSCHEDULABLE, ("Insufficient cpu", "spec.resources[]")),
    "no-such-node": (Reason.UNSCHEDULABLE, ("affinity/selector", "nodeSelector")),
    "gpu-waiter": (Reason.UNSCHEDULABLE, ("the GPUs are all in use", "1 nvidia.com/gpu", "gpuWait")),
    "gpu-too-many": (Reason.UNSCHEDULABLE, ("no node has as many GPUs", "8 nvidia.com/gpu", "gpuWait")),
    "gated": (Reason.QUEUE_WAITING, ("kueue.x-k8s.io/admission",)),
    "suspended": (Reason.QUEUE_WAITING, ("suspended, not by Secateur",)),
    "missing-claim": (Reason.VOLUME_MISSING, ("'nope'", "namespace c-trouble", "spec.store.claim")),
    "unbound-claim": (Reason.VOLUME_MISSING, ("'unbound'", "kubectl describe pvc -n c-trouble")),
    "missing-secret": (Reason.SECRET_MISSING, ("Secret 'nope'", "does not exist", "spec.store.secret")),
    "missing-secret-key": (Reason.SECRET_MISSING, ("Secret 'there'", "has no key 'nope'")),
    "missing-configmap": (Reason.SECRET_MISSING, ("ConfigMap 'nope'", "spec.template")),
    "missing-secret-volume": (Reason.SECRET_MISSING, ("Secret 'nope'", "does not exist")),
    "missing-configmap-volume": (Reason.SECRET_MISSING, ("ConfigMap 'nope'", "does not exist")),
    "limits": (Reason.POD_REFUSED, ("maximum memory usage", "LimitRange")),
    "quota": (Reason.POD_REFUSED, ("exceeded quota: small", "raise the ResourceQuota")),
    "psa": (Reason.POD_REFUSED, ('violates PodSecurity "restricted:latest"', "spec.template")),
    "no-account": (Reason.POD_REFUSED, ('serviceaccount "nope" not found', "serviceAccountName")),
    "no-priority-class": (Reason.POD_REFUSED, ("no PriorityClass with name nope", "priorityClassName")),
    "evicted-api": (Reason.EVICTED, ("EvictionByEvictionAPI", "starts again")),
    "evicted-node": (Reason.EVICTED, ("exceeds the limit", "spec.template")),
    "node-lost-first": (Reason.NODE_LOST, ("node c-fake", "kubectl delete node c-fake")),
    "node-lost": (Reason.NODE_LOST, ("node c-fake", "kubectl delete node c-fake")),
    "oom": (Reason.OUT_OF_MEMORY, ("its limit of 32Mi", "spec.resources[].memory")),
    "oom-retrying": (Reason.OUT_OF_MEMORY, ("its limit of 32Mi", "spec.resources[].memory")),
    "exit-75-retrying": (Reason.RETRYING, ("StoreFull: disk full", "try 5 of 7")),
    "deadline": (Reason.BUDGET_EXCEEDED, ("deadline of 3 s", "spec.budget.wallClock")),
}
WELL = (
    "done",
    "running",
    "one-of-two",
    "gpu-holder",
    "gpu-waiter-served",
    "evicted-api-after",
)
OWN_FAULT = ("exit-1", "exit-64", "exit-70", "exit-75", "no-program")
"""Failed by their own work: the shard tells, the cluster has no part in it."""


@pytest.mark.parametrize("name", SAID)
def test_each_trouble_is_named_with_its_remedy(name: str) -> None:
    trouble = find(sight(name))
    assert trouble is not None
    reason, fragments = SAID[name]
    assert trouble.reason is reason
    for fragment in fragments:
        assert fragment in trouble.message


@pytest.mark.parametrize("name", [*WELL, *OWN_FAULT])
def test_a_job_that_gets_on_or_failed_by_itself_is_in_no_trouble(name: str) -> None:
    assert find(sight(name)) is None


def test_every_situation_is_tested() -> None:
    assert {file.stem for file in FOLDER.glob("*.json")} == {*SAID, *WELL, *OWN_FAULT}


NEED_EVENTS = {
    "limits": "limits",
    "quota": "quota",
    "psa": "psa",
    "no-account": "no-account",
    "no-priority-class": "no-priority-class",
    "missing-secret-volume": "missing-secret-volume-0-9d5g8",
    "missing-configmap-volume": "missing-configmap-volume-0-rg4fn",
}


@pytest.mark.parametrize("name", [*SAID, *WELL, *OWN_FAULT])
def test_events_are_read_only_where_nothing_else_tells(name: str) -> None:
    names = [one["metadata"]["name"] for one in unexplained(sight(name, with_events=False))]
    assert names == ([NEED_EVENTS[name]] if name in NEED_EVENTS else [])


@pytest.mark.parametrize("name", ["gpu-waiter", "too-much-cpu", "missing-secret-volume"])
def test_a_pod_that_was_just_made_is_left_in_peace(name: str) -> None:
    assert find(sight(name, age=2.0, with_events=False)) is None
    assert unexplained(sight(name, age=2.0, with_events=False)) == []


def test_a_job_that_was_just_made_may_lack_pods() -> None:
    assert unexplained(sight("quota", age=2.0)) == []
    assert find(sight("quota", age=2.0)) is None


def test_a_slow_start_is_said_after_a_while() -> None:
    assert find(sight("missing-secret-volume", age=10.0, with_events=False)) is None
    slow = find(sight("missing-secret-volume", age=30.0, with_events=False))
    assert slow is not None
    assert slow.reason is Reason.POD_STARTING
    assert "on node node-1" in slow.message


def test_a_refusal_is_forgotten_once_pods_are_there() -> None:
    refused, running = sight("quota"), sight("running")
    events = [
        {**event, "involvedObject": {"uid": running.job["metadata"]["uid"]}} for event in refused.events
    ]
    assert find(type(running)(running.job, running.pods, events, running.now)) is None


def test_a_queue_is_named() -> None:
    seen = sight("suspended")
    seen.job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] = "team-a"
    trouble = find(seen)
    assert trouble is not None
    assert "waits in queue team-a" in trouble.message


def test_of_two_troubles_the_one_that_needs_a_person_counts() -> None:
    image, gpu = sight("bad-image"), sight("gpu-waiter")
    second = dict(gpu.pods[0])
    second["metadata"] = {
        **second["metadata"],
        "annotations": {"batch.kubernetes.io/job-completion-index": "1"},
    }
    trouble = find(type(image)(image.job, [second, *image.pods], (), image.now))
    assert trouble is not None
    assert trouble.reason is Reason.IMAGE_UNAVAILABLE


def test_a_pod_that_went_down_with_its_node_starts_again_without_a_person() -> None:
    seen = sight("node-lost")
    seen.pods[0]["status"]["phase"] = "Failed"
    trouble = find(seen)
    assert trouble is not None
    assert trouble.reason is Reason.NODE_LOST
    assert "starts again by itself" in trouble.message
