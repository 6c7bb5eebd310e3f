"""Pods and operators die at random while a job runs: its numbers are those of an undisturbed one."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import pytest

from tests.cluster_kit.documents import tiny
from tests.cluster_kit.fixtures import OpenSite
from tests.cluster_kit.keeper import claim
from tests.cluster_kit.site import Site

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.timeout(1800)]

SEED = 11
LIMIT_SECONDS = 900.0
# a pod that somebody deletes has used a try; the patience of this user is long
PATIENT = {"budget": {"retries": 20}}


def kill_operator(site: Site, _name: str) -> bool:
    """kill -9, and another one."""
    site.operator.restart()
    return True


def delete_pod(site: Site, name: str) -> bool:
    """Delete what runs, without grace."""
    running = [pod for pod in site.pods(name) if pod["status"]["phase"] == "Running"]
    for pod in running:
        site.delete("pod", pod["metadata"]["name"], "--grace-period=0", "--force", "--ignore-not-found")
    return bool(running)


def delete_pod_unseen(site: Site, name: str) -> bool:
    """Delete what runs, or has just ended, while no operator is there."""
    site.operator.kill()
    for pod in site.pods(name):
        site.delete("pod", pod["metadata"]["name"], "--ignore-not-found")
    site.operator.start()
    return True


FAULTS: list[Callable[[Site, str], bool]] = [kill_operator, delete_pod, delete_pod, delete_pod_unseen]


def test_the_same_numbers_whatever_dies(open_site: OpenSite) -> None:
    site = open_site("faults")
    site.serve()
    reference = site.wait_end(site.apply(tiny("undisturbed")), "Succeeded")
    site.cluster.apply(claim(site.namespace, "apart"))  # where nothing is found done
    name = site.apply(tiny("disturbed", {**PATIENT, "store": {"claim": "apart"}}))
    dice, done = random.Random(SEED), 0
    limit = time.monotonic() + LIMIT_SECONDS
    while site.status(name).get("phase") not in ("Succeeded", "Failed"):
        assert time.monotonic() < limit, site.status(name).get("message")
        if done < 8 and dice.random() < 0.3:
            done += dice.choice(FAULTS)(site, name)
    status = site.status(name)
    assert status["phase"] == "Succeeded", status["message"]
    assert done >= 6
    assert status["run"] == 1
    assert site.witness.twice(name) == []
    assert [one["outcome"]["numbers"] for one in status["rounds"]] == [
        one["outcome"]["numbers"] for one in reference["rounds"]
    ]
    assert {one["kind"]: one.get("sha256") for one in status["artifacts"] if one["kind"] == "model"} == {
        one["kind"]: one.get("sha256") for one in reference["artifacts"] if one["kind"] == "model"
    }
