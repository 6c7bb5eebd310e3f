"""The Job that keeps a store, and which PruningJobs have a say in it."""

from __future__ import annotations

import pytest

from secateur_api import parse_job
from secateur_api.spec import Store
from secateur_api.storekeeping import REQUEST_VARIABLE, StoreRequest
from secateur_operator.domain.named import Shelf, is_same
from secateur_operator.gateway.kube.manifests.pod import PodDefaults
from secateur_operator.gateway.kube.storekeeping import job_manifest, store_command
from secateur_operator.store_on_cluster import shelves
from tests.unit.control.jobs import document

_CLAIM = Shelf("team", Store(claim="artifacts"))
_BUCKET = Shelf("team", Store(uri="s3://models/a", secret="s3"))


def test_the_job_reaches_the_store_and_has_no_rights() -> None:
    request = StoreRequest(
        action="gc", store=_CLAIM.store.stage_uri, units=[f"round-{n}" for n in range(4000)]
    )
    command = store_command(request)
    job = job_manifest(_CLAIM, request, "jobs:1", PodDefaults(image_pull_secrets=("pull",)), command)
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert {"name": "store", "mountPath": "/store"} in container["volumeMounts"]
    assert {"name": "store", "persistentVolumeClaim": {"claimName": "artifacts"}} in pod["volumes"]
    words = container["command"][4:]
    assert [unit for word in words for unit in word.split(",")] == request.units
    assert max(len(word) for word in words) < 128 * 1024
    said = next(one["value"] for one in container["env"] if one["name"] == REQUEST_VARIABLE)
    assert StoreRequest.model_validate_json(said) == request.model_copy(update={"units": []})
    s3 = job_manifest(_BUCKET, request, "jobs:1", PodDefaults(), command)
    (container,) = s3["spec"]["template"]["spec"]["containers"]
    assert container["envFrom"] == [{"secretRef": {"name": "s3"}}]


@pytest.mark.parametrize(
    ("other", "same"),
    [
        (Shelf("team", Store(claim="artifacts")), True),
        (Shelf("other", Store(claim="artifacts")), False),
        (Shelf("team", Store(claim="more")), False),
        (Shelf("team", Store(uri="s3://models/a")), False),
    ],
)
def test_claims_are_those_of_a_namespace(other: Shelf, same: bool) -> None:
    assert is_same(_CLAIM, other) is same


@pytest.mark.parametrize(
    ("uri", "same"),
    [
        ("s3://models/a/", True),
        ("s3://models", True),
        ("s3://models/a/b", True),
        ("s3://models/ab", False),
        ("s3://other/a", False),
    ],
)
def test_a_uri_is_one_for_all_namespaces(uri: str, same: bool) -> None:
    assert is_same(_BUCKET, Shelf("other", Store(uri=uri))) is same


def test_each_store_is_kept_once() -> None:
    jobs = []
    for name, store in (("a", "artifacts"), ("b", "artifacts"), ("c", "more"), ("d", None)):
        text = document(store={"claim": store or "new"})
        text["metadata"].update(name=name, namespace="team", uid=name)
        if store is not None:
            spec = {**text["spec"], "store": {"claim": store}, "image": "jobs:1"}
            text["status"] = {"resolvedSpec": spec}
        jobs.append(parse_job(text))
    assert [one.store.claim for one in shelves(jobs, None)] == ["artifacts", "more"]
    assert shelves(jobs, Shelf("team", Store(claim="more"))) == [Shelf("team", Store(claim="more"), "jobs:1")]
    assert shelves(jobs, Shelf("team", Store(claim="else"))) == [Shelf("team", Store(claim="else"))]
