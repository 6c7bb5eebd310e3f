"""What is no PruningJob is refused by the API server; what only the operator knows is said in the status."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cluster_kit.cluster import Refused
from tests.cluster_kit.documents import TINY, tiny
from tests.cluster_kit.fixtures import OpenSite
from tests.cluster_kit.site import Site
from tests.cluster_kit.waiting import wait_until

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def site(open_site: OpenSite) -> Site:
    """A namespace whose operator has no default store."""
    site = open_site("invalid", with_store=False)
    site.serve()
    return site


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"pruning.tarket": {"macs": "50%"}}, 'unknown field "spec.pruning.tarket"'),
        ({"pruning.target": {"macs": "fifty"}}, "spec.pruning.target.macs"),
        ({"model.pretrain": None}, "model needs weights"),
        ({"store": {"claim": "a", "uri": "s3://b"}}, "a store is either a claim or a uri"),
        ({"resources": [{"gpuWait": "5m"}]}, "gpuWait needs gpu of at least 1"),
    ],
)
def test_the_api_server_refuses_it(site: Site, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(Refused) as refused:
        site.apply(tiny("wrong", changes))
    assert words in str(refused.value)
    assert site.cluster.get("pj", "wrong", site.namespace) is None


def test_without_a_store_it_is_stalled_and_goes_on_with_one(site: Site) -> None:
    name = site.apply(tiny("no-store"))
    wait_until("it is stalled", lambda: site.reason(name, "Stalled") == "InvalidSpec", 30, site.describe)
    assert site.status(name)["message"].startswith("spec.store: a store is required")
    assert site.cluster.list("jobs", site.namespace) == []
    site.patch(name, {"store": {"claim": "not-there"}})
    site.wait_reason(name, "VolumeMissing")
    assert site.status(name)["run"] == 2
    site.delete("pj", name)


def test_a_job_that_the_cluster_refuses_says_which_field(site: Site) -> None:
    changes = {
        "store": {"claim": "not-there"},
        "template.spec": {
            "containers": [{"name": "stage", "volumeMounts": [{"name": "no", "mountPath": "/x"}]}]
        },
    }
    name = site.apply(tiny("refused", changes))
    message = site.wait_reason(name, "JobRefused")
    assert "volumeMounts" in message
    assert "template" in message
    site.patch(name, {"template": None})
    site.wait_reason(name, "VolumeMissing", 60)
    assert site.status(name)["run"] == 1
    assert TINY["model"]["factory"] in str(site.status(name)["resolvedSpec"])
