"""Pods that are taken away: by the kernel, by an eviction, by somebody's kubectl."""

from __future__ import annotations

import json

import pytest

from tests.cluster_kit.documents import CODE_PATH, tiny, troubled, user_code
from tests.cluster_kit.fixtures import OpenSite
from tests.cluster_kit.site import Site
from tests.cluster_kit.waiting import wait_until

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def site(open_site: OpenSite) -> Site:
    """A namespace with user code that goes wrong."""
    site = open_site("pods")
    site.keeper.write(CODE_PATH, user_code())
    site.serve()
    return site


def held(site: Site, name: str, stage: str, seed: int) -> str:
    """Start a job that is held in a stage; returns the stage's pod.

    With the seed of another job the work would be found done in the store.
    """
    site.keeper.write("hold", b"")
    site.apply(troubled(name, site.keeper.sha256(CODE_PATH), stage, "hold", {"seed": seed}))
    return site.wait_stage(name, stage)


def test_out_of_memory_names_the_limit_and_is_mended_by_more(site: Site) -> None:
    digest = site.keeper.sha256(CODE_PATH)
    name = "eater"
    site.apply(
        troubled(
            *(name, digest, "pretrain", "eat"),
            {"resources": [{"cpu": "100m", "memory": "700Mi"}], "budget.retries": 1},
        )
    )
    status = site.wait_end(name, "Failed")
    assert site.reason(name, "Stalled") == "RetriesExhausted"
    assert "OutOfMemory" in status["message"]
    assert "700Mi" in status["message"]
    assert "spec.resources" in status["message"]
    ends = [pod["status"]["containerStatuses"][0]["state"]["terminated"]["reason"] for pod in site.pods(name)]
    assert ends == ["OOMKilled", "OOMKilled"]
    site.patch(name, {"resources": [{"cpu": "100m", "memory": "2Gi"}]})
    site.wait_done(name, "pretrain")
    assert site.status(name)["run"] == 2
    site.delete("pj", name)


def test_an_evicted_pod_does_not_count_as_a_try(site: Site) -> None:
    name = "evicted"
    pod = held(site, name, "pretrain", 1)
    eviction = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": pod, "namespace": site.namespace},
    }
    path = f"/api/v1/namespaces/{site.namespace}/pods/{pod}/eviction"
    site.cluster.kubectl("create", "--raw", path, "-f", "-", stdin=json.dumps(eviction))
    wait_until(
        "another pod runs",
        lambda: [
            one
            for one in site.pods(name)
            if one["metadata"]["name"] != pod and one["status"]["phase"] == "Running"
        ],
        60,
        lambda: site.status(name).get("message"),
    )
    site.keeper.remove("hold")
    site.wait_done(name, "pretrain")
    assert [one["attempt"] for one in site.status(name)["stages"]][:1] == [1]
    assert site.witness.twice(name) == []
    site.delete("pj", name)


def test_a_job_that_a_queue_takes_back_waits_and_goes_on(site: Site) -> None:
    """As Kueue does it: by the Job's ``suspend``, which is not the operator's to set."""
    name = "queued"
    held(site, name, "pretrain", 2)
    job = site.status(name)["stage"]["job"]
    suspend = ("patch", "job", job, "-n", site.namespace, "--type=merge", "-p")
    site.cluster.kubectl(*suspend, '{"spec": {"suspend": true}}')
    site.wait_reason(name, "QueueWaiting")
    site.wait_nothing_runs(name)
    assert site.status(name)["phase"] == "Running"
    site.keeper.remove("hold")
    site.cluster.kubectl(*suspend, '{"spec": {"suspend": false}}')
    site.wait_done(name, "pretrain")
    assert site.status(name)["stages"][0]["attempt"] == 1
    assert site.witness.twice(name) == []
    site.delete("pj", name)


def test_a_message_that_was_never_read_is_read_from_the_store(site: Site) -> None:
    """The operator is down while a pod ends, and the pod is gone when it is back."""
    name = "unread"
    reference = site.wait_end(site.apply(tiny("read")), "Succeeded")
    pod = held(site, name, "round", 0)
    done_before = set(site.keeper.units())
    site.operator.kill()
    site.keeper.remove("hold")
    wait_until(
        "the pod has ended",
        lambda: (site.cluster.get("pod", pod, site.namespace) or {})["status"]["phase"] == "Succeeded",
        90,
        lambda: site.cluster.get("pod", pod, site.namespace),
    )
    job = site.status(name)["stage"]["job"]
    wait_until(
        "the Job is Complete",
        lambda: site.cluster.get("job", job, site.namespace)["status"].get("succeeded") == 1,
        30,
        lambda: site.cluster.get("job", job, site.namespace)["status"],
    )
    site.cluster.kubectl("delete", "pod", pod, "-n", site.namespace)
    assert len(set(site.keeper.units()) - done_before) == 1
    site.operator.start()
    site.wait_done(name, "round")
    status = site.status(name)
    recalls = [work for work in site.witness.work(name) if work[-1] == "true"]
    assert [work[0] for work in recalls] == ["round"]
    assert {one["attempt"] for one in status["stages"]} == {1}
    # the user code only waits: the numbers are those of the job that nothing happened to
    assert [one["outcome"]["numbers"] for one in status["rounds"]] == [
        one["outcome"]["numbers"] for one in reference["rounds"]
    ]
    site.delete("pj", name)


def test_a_finished_job_does_not_run_again_because_its_jobs_are_deleted(site: Site) -> None:
    name = "read"
    before = site.status(name)
    assert before["phase"] == "Succeeded"
    made = len(site.witness.jobs(name))
    site.cluster.kubectl("delete", "jobs", "-n", site.namespace, "-l", f"secateur.dev/job={name}")
    site.operator.restart()
    site.wait_done(site.apply(tiny("marker")), "preflight")  # the operator has been at work since
    site.delete("pj", "marker")
    assert len(site.witness.jobs(name)) == made
    assert site.status(name) == before
