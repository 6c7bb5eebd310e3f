"""Rounds that several pods train together: they meet through the store, and a lost one is replaced."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cluster_kit.documents import CODE_PATH, troubled, user_code
from tests.cluster_kit.fixtures import OpenSite
from tests.cluster_kit.site import Site
from tests.cluster_kit.waiting import wait_until

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.timeout(1800)]

INDEX = "batch.kubernetes.io/job-completion-index"
MET = "load the model and the data"
"""What the first worker's log says once all are joined."""
ONE_ROUND = {
    "pruning": {
        "layers": [{"match": "layer2.*", "ratio": 0.25}],
        "align": 4,
        "schedule": {"rounds": 1, "step": 1, "floor": "60%"},
    },
    "fineTune.workers": 2,
    "constraints": [{"metric": "macs", "max": "99%"}],
}


@pytest.fixture(scope="module")
def site(open_site: OpenSite) -> Site:
    """A namespace with user code that can be held."""
    site = open_site("workers")
    site.keeper.write(CODE_PATH, user_code())
    site.serve()
    return site


def team(site: Site, name: str, changes: dict[str, Any]) -> str:
    """Start a job of one round by two workers, held by the file ``hold`` once they have met."""
    digest = site.keeper.sha256(CODE_PATH)
    return site.apply(troubled(name, digest, "round", "hold", {**ONE_ROUND, **changes}))


def round_job(site: Site, name: str) -> dict[str, Any]:
    """Return the one Job that the round had."""
    (job,) = [
        one for one in site.witness.jobs(name) if one["metadata"]["labels"]["secateur.dev/stage"] == "round"
    ]
    return job


def round_pods(site: Site, name: str) -> list[tuple[str, str, str]]:
    """Return (index, name, phase) of the round's pods, in the order of their index."""
    return sorted(
        (pod["metadata"]["annotations"][INDEX], pod["metadata"]["name"], pod["status"]["phase"])
        for pod in site.pods(name)
        if pod["metadata"]["labels"]["secateur.dev/stage"] == "round"
    )


def test_two_pods_train_one_net(site: Site) -> None:
    name = team(site, "together", {})
    status = site.wait_end(name, "Succeeded")
    job = round_job(site, name)
    assert job["spec"]["completionMode"] == "Indexed"
    assert (job["spec"]["completions"], job["spec"]["parallelism"]) == (2, 2)
    assert (job["status"]["succeeded"], job["status"]["completedIndexes"]) == (2, "0,1")
    assert job["status"].get("failed", 0) == 0
    assert [(index, phase) for index, _, phase in round_pods(site, name)] == [
        ("0", "Succeeded"),
        ("1", "Succeeded"),
    ]
    (only,) = status["rounds"]
    assert only["outcome"]["numbers"]["metric"] > 0.8 * status["preflight"]["baseline"]["metric"]
    assert only["outcome"]["cutMacs"] > 0.01
    assert all(one["holds"] and one["measured"] != "not measured" for one in status["constraints"])


def test_a_worker_that_is_lost_comes_back_and_the_round_starts_again(site: Site) -> None:
    """Of one team the first worker, which leads, of the other one the second."""
    site.keeper.write("hold", b"")
    names = [team(site, f"lost-{rank}", {"fineTune.learningRate": 0.001 + rank / 1000}) for rank in (0, 1)]
    for rank, name in enumerate(names):
        wait_until("both workers have met", lambda name=name: has_met(site, name), 120, site.describe)
        site.delete("pod", round_pods(site, name)[rank][1])
    site.keeper.remove("hold")
    for name in names:
        site.wait_done(name, "round")
        job = wait_until("the Job is Complete", lambda name=name: complete(site, name), 30, site.describe)
        assert job["status"]["completedIndexes"] == "0,1"
        assert job["status"]["failed"] == 2  # the lost one, and the one that cannot train alone
        status = site.status(name)
        before = status["preflight"]["baseline"]["metric"]
        assert status["rounds"][0]["outcome"]["numbers"]["metric"] > 0.8 * before
        assert [one["attempt"] for one in status["stages"] if one["name"] == "round"] == [1]
        assert site.witness.twice(name) == []
        site.delete("pj", name)


def complete(site: Site, name: str) -> dict[str, Any] | None:
    """Return the round's Job once both its workers have succeeded."""
    job = round_job(site, name)
    return job if job["status"].get("succeeded") == 2 else None


def has_met(site: Site, name: str) -> bool:
    """Whether the first worker says that all are there."""
    pods = round_pods(site, name)
    if [phase for _, _, phase in pods] != ["Running", "Running"]:
        return False
    return MET in site.cluster.kubectl("logs", pods[0][1], "-n", site.namespace)
