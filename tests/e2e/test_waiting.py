"""What keeps a pod from running is said within 30 seconds; the job then continues when it is mended."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cluster_kit.documents import tiny
from tests.cluster_kit.fixtures import OpenSite
from tests.cluster_kit.keeper import claim
from tests.cluster_kit.site import MARGIN_SECONDS, Site

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.timeout(1800)]

NO_SUCH_IMAGE = "localhost/no-such-image:1"
CHANGES: dict[str, dict[str, Any]] = {
    "claim": {"store": {"claim": "not-there"}},
    "secret": {"store": {"claim": "artifacts", "secret": "not-there"}},
    "image": {"image": NO_SUCH_IMAGE},
    "node": {"template.spec.nodeSelector": {"disk": "not-there"}},
    "cpu": {"resources": [{"cpu": "999", "memory": "1500Mi"}]},
    "config": {
        "template.spec": {
            "volumes": [{"name": "settings", "configMap": {"name": "not-there"}}],
            "containers": [
                {"name": "stage", "volumeMounts": [{"name": "settings", "mountPath": "/settings"}]}
            ],
        }
    },
    "refused": {"template.spec.hostNetwork": True},
}


@pytest.fixture(scope="module")
def site(open_site: OpenSite) -> Site:
    """All of them at once: they only wait."""
    site = open_site("waiting")
    site.serve()
    for name in ("claim", "secret", "image", "node", "cpu", "config", "refused"):
        site.apply(tiny(name, CHANGES[name]))
    return site


@pytest.mark.parametrize(
    ("name", "reason", "words"),
    [
        ("claim", "VolumeMissing", "not-there"),
        ("secret", "SecretMissing", "not-there"),
        ("image", "ImageUnavailable", NO_SUCH_IMAGE),
        ("node", "Unschedulable", "node"),
        ("cpu", "Unschedulable", "cpu"),
        ("config", "SecretMissing", "ConfigMap"),
        ("refused", "PodRefused", "hostNetwork"),
    ],
)
def test_the_cause_is_named_within_30_seconds(site: Site, name: str, reason: str, words: str) -> None:
    message = site.wait_reason(name, reason, MARGIN_SECONDS)
    assert words in message
    assert message.startswith("pretrain: ")
    assert any(event["reason"] == reason for event in site.events(name))
    assert site.status(name)["phase"] == "Running"


def test_it_goes_on_when_the_cause_goes(site: Site) -> None:
    site.wait_reason("claim", "VolumeMissing")
    site.cluster.apply(claim(site.namespace, "not-there"))
    secret = {"metadata": {"name": "not-there", "namespace": site.namespace}, "stringData": {"A": "b"}}
    site.cluster.apply({"apiVersion": "v1", "kind": "Secret", **secret})
    for name in ("claim", "secret"):
        site.wait_done(name, "pretrain")
        assert site.status(name)["run"] == 1
        assert site.status(name)["stages"][0]["attempt"] == 1
        site.delete("pj", name)


def test_an_unfit_request_is_mended_without_a_new_run(site: Site) -> None:
    site.wait_reason("cpu", "Unschedulable")
    site.patch("cpu", {"suspend": True})
    site.wait_reason("cpu", "Suspended")
    site.patch("cpu", {"suspend": False, "resources": [{"cpu": "100m", "memory": "1500Mi"}]})
    site.wait_done("cpu", "pretrain")
    assert site.status("cpu")["run"] == 1
    site.delete("pj", "cpu")
