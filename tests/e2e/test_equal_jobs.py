"""Equal PruningJobs at once on one claim: who is second finds the results of the first; none is spoilt."""

from __future__ import annotations

import pytest

from tests.cluster_kit.documents import tiny
from tests.cluster_kit.fixtures import OpenSite
from tests.cluster_kit.site import Site

pytestmark = [pytest.mark.cluster, pytest.mark.paddle, pytest.mark.slow, pytest.mark.timeout(1800)]

COUNT = 3
"""So many that each stage is run by several at once."""


@pytest.fixture(scope="module")
def site(open_site: OpenSite) -> Site:
    """A namespace with a store, and an operator."""
    site = open_site("equal")
    site.serve()
    return site


def test_equal_jobs_at_once_all_succeed_with_one_set_of_results(site: Site) -> None:
    names = [site.apply(tiny(f"equal-{number}")) for number in range(COUNT)]
    ended = [site.wait_end(name, "Succeeded") for name in names]
    for one in ended[1:]:
        for kept in ("preflight", "rounds", "converted"):
            assert _without_times(one[kept]) == _without_times(ended[0][kept]), kept
    assert {one["attempt"] for status in ended for one in status["stages"]} == {1}
    later = site.wait_end(site.apply(tiny("later")), "Succeeded")
    assert all(one["reused"] for one in later["stages"] if one["name"] != "report")


def _without_times(value: object) -> object:
    """Leave out what each job has of its own: how long it waited for a round, and the Job that ran it."""
    if isinstance(value, dict):
        return {key: _without_times(one) for key, one in value.items() if key not in ("seconds", "job")}
    return [_without_times(one) for one in value] if isinstance(value, list) else value
