"""What holds for every Job, whatever the spec."""

from __future__ import annotations

import json
import re
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from secateur_api import Stage
from secateur_operator.domain.plan import StageJob
from secateur_operator.gateway.kube.manifests import PodDefaults, job_manifest
from secateur_operator.gateway.kube.names import MANAGED
from tests.unit.manifests.kubelet import environment
from tests.unit.manifests.restricted import offences
from tests.unit.manifests.stage_jobs import stage_job_of

_LABEL = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
_LABEL_NAME = re.compile(r"([a-z0-9.-]{1,253}/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")

names = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,50}[a-z0-9])?", fullmatch=True)
texts = st.text(st.characters(codec="utf-8")) | st.text("$()AZ_{}", max_size=12)
quantities = st.sampled_from(["500m", "1", "2.5", "64"])
sizes = st.sampled_from(["256Mi", "1.5Gi", "16G"])


@st.composite
def stores(draw: st.DrawFn) -> dict[str, Any]:
    place = draw(st.sampled_from([{"claim": "models"}, {"uri": "s3://bucket/a"}]))
    return {**place, **draw(st.sampled_from([{}, {"secret": "keys"}]))}


@st.composite
def resources(draw: st.DrawFn) -> dict[str, Any]:
    stages = draw(st.none() | st.lists(st.sampled_from([s.value for s in Stage]), max_size=7, unique=True))
    entry = {"cpu": draw(quantities), "memory": draw(sizes), "gpu": draw(st.integers(0, 8))}
    return entry if stages is None else {**entry, "stages": stages}


@st.composite
def stage_jobs(draw: st.DrawFn) -> StageJob:
    stage = draw(st.sampled_from(Stage))
    return stage_job_of(
        stage,
        number=draw(st.integers(1, 100)) if stage is Stage.ROUND else None,
        attempt=draw(st.integers(1, 21)),
        recall=draw(st.booleans()),
        on_cpu=draw(st.booleans()),
        seconds=draw(st.floats(0, 1e12)),
        run=draw(st.integers(1, 10**6)),
        name=draw(names),
        uid=str(draw(st.uuids())),
        store=draw(stores()),
        queue=draw(st.none() | names),
        resources=draw(st.lists(resources(), max_size=3)),
        budget={"retries": draw(st.integers(0, 20))},
        sensitivity={"shards": draw(st.integers(1, 256))},
        data={"factory": "a:b", "args": draw(st.dictionaries(texts, texts, max_size=3))},
    )


defaults = st.builds(
    PodDefaults,
    ttl_seconds=st.integers(0, 10**7),
    image_pull_policy=st.sampled_from([None, "Always", "Never", "IfNotPresent"]),
    image_pull_secrets=st.lists(names, max_size=2).map(tuple),
    fs_group=st.none() | st.integers(1, 2**31 - 1),
)


@settings(max_examples=60, deadline=None)
@given(stage_jobs(), defaults)
def test_every_manifest(job: StageJob, given_defaults: PodDefaults) -> None:
    manifest = job_manifest(job, given_defaults)
    assert json.loads(json.dumps(manifest)) == manifest
    assert job_manifest(job, given_defaults) == manifest

    spec, template = manifest["spec"], manifest["spec"]["template"]
    pod = template["spec"]
    (stage,) = pod["containers"]
    _names_are_valid(manifest)
    assert "suspend" not in spec

    assert spec["completions"] == spec["parallelism"] == job.shards
    assert 1 <= spec["activeDeadlineSeconds"] < 2**31
    assert 0 <= spec["backoffLimitPerIndex"] <= job.spec.budget.retries

    assert offences(pod) == []
    assert pod["automountServiceAccountToken"] is False
    assert stage["securityContext"]["readOnlyRootFilesystem"] is True

    wanted, limits = stage["resources"]["requests"], stage["resources"]["limits"]
    assert set(wanted) == {"cpu", "memory"}
    assert limits["memory"] == wanted["memory"]
    assert "cpu" not in limits

    told = environment(stage["env"])
    assert told["SECATEUR_INPUT"] == job.input_json
    hidden = told.get("CUDA_VISIBLE_DEVICES") == ""
    assert hidden != ("nvidia.com/gpu" in limits)
    if job.recall or job.on_cpu:
        assert hidden
    assert (told.get("SECATEUR_RECALL") == "1") is job.recall

    mounted = {mount["name"]: mount["mountPath"] for mount in stage["volumeMounts"]}
    assert set(mounted) == {volume["name"] for volume in pod["volumes"]}
    assert told["TMPDIR"] == told["HOME"] == mounted["tmp"]


def _names_are_valid(manifest: dict[str, Any]) -> None:
    meta, template = manifest["metadata"], manifest["spec"]["template"]
    last = manifest["spec"]["completions"] - 1
    assert _NAME.fullmatch(f"{meta['name']}-{last}"), "the pods' host name"
    for labels in (meta["labels"], template["metadata"]["labels"]):
        for name, value in labels.items():
            assert _LABEL_NAME.fullmatch(name)
            assert _LABEL.fullmatch(value)
    assert template["metadata"]["labels"].items() <= meta["labels"].items()
    selected, value = MANAGED.split("=")
    assert template["metadata"]["labels"][selected] == value
