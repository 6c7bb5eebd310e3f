"""Parts of the cluster die or hang while a job runs: it goes on, and nothing is done twice."""

from __future__ import annotations

import pytest

from tests.cluster_kit.documents import CODE_PATH, tiny, troubled, user_code
from tests.cluster_kit.fixtures import OpenSite
from tests.cluster_kit.parts import Parts
from tests.cluster_kit.site import MARGIN_SECONDS, Site
from tests.cluster_kit.waiting import wait_until

pytestmark = [pytest.mark.cluster, pytest.mark.disruptive, pytest.mark.slow, pytest.mark.timeout(1800)]

GRACE_SECONDS = 60.0
"""After so long the cluster itself has noticed that a node is lost (Kubernetes' own default is 50)."""
LEASE_SECONDS = 20.0
"""A leader that cannot renew its lease has ended after so long."""


@pytest.fixture(scope="module")
def site(open_site: OpenSite, cluster_parts: Parts) -> Site:
    """A namespace with user code that can be held."""
    site = open_site("chaos")
    site.keeper.write(CODE_PATH, user_code())
    return site


def assert_undisturbed(site: Site, name: str, seconds: float = 600) -> None:
    """The job ends well, in one run, each piece of work done by one Job."""
    status = site.wait_end(name, "Succeeded", seconds)
    assert status["run"] == 1
    assert site.witness.twice(name) == []
    assert {one["attempt"] for one in status["stages"]} == {1}


@pytest.mark.parametrize("part", ["kube-apiserver", "etcd"])
def test_the_api_is_away_for_a_while(site: Site, cluster_parts: Parts, part: str) -> None:
    operator = site.serve()
    name = site.apply(tiny(part, {"seed": len(part)}))
    site.wait_stage(name, "preflight")
    cluster_parts.kill(part)
    wait_until("the API is away", lambda: not _answers(site), 30, lambda: "it answers")
    cluster_parts.up()
    assert_undisturbed(site, name)
    assert operator.is_running()
    site.stop()


@pytest.mark.may_log("this process ends; start it again")
def test_a_leader_that_cannot_renew_its_lease_ends_and_the_next_one_goes_on(
    site: Site, cluster_parts: Parts
) -> None:
    operator = site.serve(elect=True)
    name = site.apply(tiny("leader", {"seed": 3}))
    site.wait_stage(name, "preflight")
    cluster_parts.kill("kube-apiserver")
    wait_until("the leader ends", lambda: not operator.is_running(), LEASE_SECONDS, operator.tail)
    cluster_parts.up()
    operator.start()
    assert_undisturbed(site, name)
    site.stop()


def test_a_node_that_is_lost_is_said_and_when_it_is_back_the_job_goes_on(
    site: Site, cluster_parts: Parts
) -> None:
    site.serve()
    site.keeper.write("hold", b"")
    name = site.apply(troubled("lost", site.keeper.sha256(CODE_PATH), "preflight", "hold"))
    site.wait_stage(name, "preflight")
    cluster_parts.pause("kubelet")
    try:
        message = site.wait_reason(name, "NodeLost", GRACE_SECONDS + MARGIN_SECONDS)
        assert "node" in message
    finally:
        cluster_parts.resume("kubelet")
    site.wait_reason(name, "StageRunning", GRACE_SECONDS)
    site.keeper.remove("hold")
    status = site.wait_end(name, "Succeeded")
    assert status["run"] == 1
    site.stop()


def _answers(site: Site) -> bool:
    try:
        site.cluster.kubectl("get", "--raw", "/readyz", "--request-timeout=2s")
    except AssertionError:
        return False
    return True
