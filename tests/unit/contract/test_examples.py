"""The examples: each job is valid; those for clusters do the same work as those for one machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from secateur_api import PruningJob, parse_job
from secateur_api.base import KIND
from secateur_operator.document import read_job

_ROOT = Path(__file__).parents[3]
_CLUSTER = _ROOT / "examples" / "cluster"
_LOCAL = [
    *sorted(file for file in (_ROOT / "examples").rglob("*.yaml") if file.parent != _CLUSTER),
    *sorted((_ROOT / "tests/bench/jobs").glob("*.yaml")),
]
_CLUSTER_FIELDS = ("image", "store", "resources", "queue", "template")


def _documents(file: Path) -> list[dict[str, Any]]:
    return [document for document in yaml.safe_load_all(file.read_text()) if document is not None]


def _cluster_jobs() -> dict[str, PruningJob]:
    found = [d for file in sorted(_CLUSTER.glob("*.yaml")) for d in _documents(file) if d["kind"] == KIND]
    return {job.metadata.name: job for job in map(parse_job, found)}


@pytest.mark.parametrize("file", _LOCAL, ids=lambda file: file.stem)
def test_it_is_valid(file: Path) -> None:
    read_job(file)


def test_names_differ_so_that_all_can_share_one_home() -> None:
    names = [read_job(file).metadata.name for file in _LOCAL]
    assert len(names) >= 7
    assert len(set(names)) == len(names)


def test_jobs_for_clusters_are_valid_and_name_their_store() -> None:
    jobs = _cluster_jobs()
    assert set(jobs) == {"digits", "digits-s3", "resnet50-gpu"}
    assert [name for name, job in jobs.items() if job.spec.store is None] == []


@pytest.mark.parametrize("name", ["digits", "digits-s3"])
def test_on_a_cluster_it_is_the_same_work_as_on_one_machine(name: str) -> None:
    here = read_job(_ROOT / "examples" / "digits.yaml").spec.to_wire()
    there = _cluster_jobs()[name].spec.to_wire()
    work = [{k: v for k, v in spec.items() if k not in _CLUSTER_FIELDS} for spec in (here, there)]
    assert work[0] == work[1]


def test_the_claim_of_the_quick_start_comes_with_its_job() -> None:
    claim, job = _documents(_CLUSTER / "digits.yaml")
    assert claim["kind"] == "PersistentVolumeClaim"
    assert job["spec"]["store"] == {"claim": claim["metadata"]["name"]}


def test_gitops_examples_watch_a_job_of_the_examples() -> None:
    (application,) = _documents(_CLUSTER / "argo-application.yaml")
    source, kustomization = _documents(_CLUSTER / "flux-kustomization.yaml")
    assert application["spec"]["destination"]["namespace"] == "pruning"
    assert kustomization["spec"]["sourceRef"] == {
        "kind": source["kind"],
        "name": source["metadata"]["name"],
    }
    (check,) = kustomization["spec"]["healthChecks"]
    assert check["kind"] == KIND
    assert check["name"] in _cluster_jobs()
