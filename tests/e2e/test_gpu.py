"""GPUs: who waits for one says so, and runs on the CPU where its user allows."""

from __future__ import annotations

import json

import pytest

from tests.cluster_kit.documents import CODE_PATH, tiny, troubled, user_code
from tests.cluster_kit.fixtures import OpenSite
from tests.cluster_kit.site import Site

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def gpus(open_site: OpenSite) -> tuple[Site, int]:
    """A namespace, and how many GPUs one node has; a job that asks for all of them leaves none."""
    site = open_site("gpu")
    nodes = json.loads(site.cluster.kubectl("get", "nodes", "-o", "json"))["items"]
    count = max(int(node["status"]["allocatable"].get("nvidia.com/gpu", 0)) for node in nodes)
    if len(nodes) != 1 or count == 0:
        pytest.skip("needs a cluster of one node that has GPUs (nvidia.com/gpu)")
    site.keeper.write(CODE_PATH, user_code())
    site.serve()
    return site, count


def _resources(gpu: int, **more: str) -> dict[str, object]:
    return {"resources": [{"stages": ["pretrain"], "cpu": "100m", "memory": "1500Mi", "gpu": gpu, **more}]}


def test_the_second_job_waits_for_the_gpus_of_the_first_and_says_so(gpus: tuple[Site, int]) -> None:
    site, count = gpus
    site.keeper.write("hold", b"")
    digest = site.keeper.sha256(CODE_PATH)
    site.apply(troubled("first", digest, "pretrain", "hold", _resources(count)))
    site.wait_stage("first", "pretrain")
    site.apply(tiny("second", {**_resources(1), "seed": 2}))
    message = site.wait_reason("second", "Unschedulable")
    assert "GPU" in message
    # one who would rather have the CPU than wait
    site.apply(tiny("third", {**_resources(1, gpuWait="5s"), "seed": 3}))
    site.wait_done("third", "pretrain")
    done = site.status("third")["stages"][0]
    assert done["attempt"] == 2
    pod = next(one for one in site.pods("third") if one["metadata"]["labels"]["secateur.dev/attempt"] == "2")
    assert "nvidia.com/gpu" not in pod["spec"]["containers"][0]["resources"]["limits"]
    names = [job["metadata"]["name"] for job in site.cluster.list("jobs", site.namespace)]
    assert [name for name in names if name.startswith("third-pretrain-a1-")] == []  # it waits no more
    # the GPUs come free
    site.keeper.remove("hold")
    site.wait_done("second", "pretrain")
    assert site.status("second")["stages"][0]["attempt"] == 1
    pods = [
        pod for pod in site.pods("second") if pod["metadata"]["labels"]["secateur.dev/stage"] == "pretrain"
    ]
    assert pods[0]["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "1"
