"""What a user does to a job that runs: suspends it, resumes it, changes it, deletes it."""

from __future__ import annotations

import itertools

import pytest

from tests.cluster_kit.cluster import Refused
from tests.cluster_kit.documents import CODE_PATH, troubled, user_code
from tests.cluster_kit.fixtures import OpenSite
from tests.cluster_kit.site import MARGIN_SECONDS, Site
from tests.cluster_kit.waiting import wait_until

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.timeout(1800)]

_NUMBERS = itertools.count(1)


@pytest.fixture(scope="module")
def site(open_site: OpenSite) -> Site:
    """A namespace with user code that can be held."""
    site = open_site("user")
    site.keeper.write(CODE_PATH, user_code())
    site.serve()
    return site


@pytest.fixture
def held(site: Site, request: pytest.FixtureRequest) -> str:
    """A job whose first round is under way and does not get on until the store's ``hold`` is removed."""
    digest = site.keeper.sha256(CODE_PATH)
    site.keeper.write("hold", b"")
    called = request.node.name.replace("_", "-")[5:40].strip("-")
    # a rate of its own, lest its round is found done in the store; what comes before is
    mine = {"fineTune.learningRate": next(_NUMBERS) / 1000}
    name = site.apply(troubled(called, digest, "round", "hold", mine))
    site.wait_stage(name, "round", 1)
    return name


def test_suspended_in_a_round_and_resumed(site: Site, held: str) -> None:
    before = site.status(held)
    site.patch(held, {"suspend": True})
    site.wait_reason(held, "Suspended")
    site.wait_nothing_runs(held)
    assert site.status(held)["phase"] == "Suspended"
    site.keeper.remove("hold")
    site.patch(held, {"suspend": False})
    site.wait_done(held, "round")
    status = site.status(held)
    assert status["run"] == 1
    assert status["pausedSeconds"] > 0
    assert status["stages"][: len(before["stages"])] == before["stages"]
    repeated = {work[0] for work in site.witness.twice(held)}
    assert repeated == {"round"}, "only what was under way is begun again"
    site.delete("pj", held)


def test_while_it_runs_the_spec_is_frozen_but_for_what_may_change(site: Site, held: str) -> None:
    with pytest.raises(Refused, match="suspend"):
        site.patch(held, {"seed": 7})
    site.patch(held, {"resources": [{"cpu": "50m", "memory": "1600Mi"}], "budget": {"wallClock": "2h"}})
    site.keeper.remove("hold")
    status = site.wait_end(held, "Succeeded")
    assert status["run"] == 1
    assert site.witness.twice(held) == []
    later = [
        job for job in site.witness.jobs(held) if job["metadata"]["labels"]["secateur.dev/stage"] == "report"
    ]
    limits = later[0]["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]
    assert limits["memory"] == "1600Mi"


def test_deleted_while_it_runs_nothing_is_left(site: Site, held: str) -> None:
    site.delete("pj", held)
    site.wait_nothing(held, MARGIN_SECONDS)
    assert site.cluster.get("pj", held, site.namespace) is None
    wait_until(
        "its series are gone from /metrics",
        lambda: f'name="{held}"' not in site.operator.metrics(),
        MARGIN_SECONDS,
        lambda: [line for line in site.operator.metrics().splitlines() if held in line],
    )
