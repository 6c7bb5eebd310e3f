"""A namespace that two releases would serve, and jobs that must wait for each other."""

from __future__ import annotations

import pytest

from tests.cluster_kit.documents import tiny
from tests.cluster_kit.fixtures import OpenSite
from tests.cluster_kit.waiting import wait_until

pytestmark = [pytest.mark.cluster, pytest.mark.paddle, pytest.mark.slow, pytest.mark.timeout(1800)]


_ELSEWHERE = "is served by another operator"


def test_of_two_releases_one_acts_and_the_other_follows_when_it_is_stopped(open_site: OpenSite) -> None:
    site = open_site("releases")
    first = site.serve("--lease-name", "first")
    name = site.apply(tiny("shared"))
    site.wait_stage(name, "pretrain")
    second = site.serve("--lease-name", "second")
    wait_until("it notices", lambda: _ELSEWHERE in second.log.read_text(), 30, second.tail)
    status = site.wait_end(name, "Succeeded")
    assert site.witness.twice(name) == []
    assert {one["attempt"] for one in status["stages"]} == {1}
    assert first.stop() == 0
    again = site.apply(tiny("again"))
    site.wait_done(again, "pretrain")
    assert site.status(again)["run"] == 1
    second.stop()


def test_a_selector_leaves_other_jobs_alone(open_site: OpenSite) -> None:
    site = open_site("selector")
    site.serve("--selector", "team=vision")
    other, mine = tiny("other"), tiny("mine")
    mine["metadata"]["labels"] = {"team": "vision"}
    site.apply(other)
    site.wait_done(site.apply(mine), "pretrain")
    assert "phase" not in site.status("other")
    assert site.pods("other") == []


def test_a_limit_makes_the_younger_wait(open_site: OpenSite) -> None:
    site = open_site("limit")
    site.serve("--max-running", "1")
    # preflight says that it cannot be reached
    ends_early = {"pruning.target": {"macs": "99%"}, "pruning.schedule.rounds": 20}
    first, second = site.apply(tiny("first", ends_early)), site.apply(tiny("second", {"seed": 7}))
    site.wait_stage(first, "pretrain")
    assert "1 PruningJobs of namespace" in site.wait_reason(second, "LimitReached")
    ended = site.wait_end(first, "Failed")
    site.wait_done(second, "pretrain")
    assert site.status(second)["startedAt"] >= ended["finishedAt"]
    assert "LimitReached" in {event["reason"] for event in site.events(second)}
