"""The operator dies, at every moment of a job; and another one stands by."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.cluster_kit.documents import tiny
from tests.cluster_kit.fixtures import OpenSite
from tests.cluster_kit.site import Site
from tests.cluster_kit.waiting import wait_until

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.timeout(1800)]

SWITCH_SECONDS = 20.0


@pytest.fixture(scope="module")
def site(open_site: OpenSite) -> Site:
    """A namespace with a store."""
    return open_site("operators")


def moment(site: Site, name: str) -> tuple[Any, ...]:
    """Name where a job is: its phase, its current Job, and whether the pod of that runs or has ended."""
    status = site.status(name)
    job = (status.get("stage") or {}).get("job")
    pods = [
        pod for pod in site.pods(name) if pod["metadata"]["labels"]["batch.kubernetes.io/job-name"] == job
    ]
    return status.get("phase"), job, tuple(sorted(pod["status"]["phase"] for pod in pods))


def test_killed_at_every_moment_it_goes_on_and_repeats_nothing(site: Site) -> None:
    operator = site.serve()
    name = site.apply(tiny("killed"))
    seen: set[tuple[Any, ...]] = set()
    limit = time.monotonic() + 900
    while site.status(name).get("phase") not in ("Succeeded", "Failed"):
        assert time.monotonic() < limit, site.status(name).get("message")
        now = moment(site, name)
        if now not in seen:
            seen.add(now)
            operator.kill()
            operator.start(ready=False)
    status = site.status(name)
    assert status["phase"] == "Succeeded", status["message"]
    assert len({job for _, job, _ in seen if job}) == 6, "it was not killed in every stage"
    assert len(seen) >= 12
    assert site.witness.twice(name) == []
    assert {one["attempt"] for one in status["stages"]} == {1}
    assert status["run"] == 1
    operator.stop()


def test_one_leads_and_the_other_takes_over(site: Site) -> None:
    first = site.serve(elect=True)
    wait_until("the first one leads", lambda: _leads(first), 15, first.tail)
    second = site.serve(elect=True)
    assert not _leads(second)
    name = site.apply(tiny("handed", {"seed": 5}))
    site.wait_stage(name, "preflight")
    began = time.monotonic()
    first.kill()
    wait_until("the other leads", lambda: _leads(second), SWITCH_SECONDS, second.tail)
    assert time.monotonic() - began < SWITCH_SECONDS
    first.start()
    status = site.wait_end(name, "Succeeded")
    assert status["run"] == 1
    assert site.witness.twice(name) == []
    assert {one["attempt"] for one in status["stages"]} == {1}
    # asked to end, the leader hands over at once
    assert second.stop() == 0
    wait_until("the first leads again", lambda: _leads(first), 8, first.tail)


def _leads(operator: Any) -> bool:
    return "secateur_leader 1.0" in operator.metrics()
