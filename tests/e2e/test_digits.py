"""The example of the README on a claim: from kubectl apply to the converted model."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.cluster_kit.documents import CODE_PATH, example, troubled, user_code
from tests.cluster_kit.fixtures import OpenSite
from tests.cluster_kit.prometheus import NoPrometheus, Prometheus, prometheus
from tests.cluster_kit.site import Site
from tests.cluster_kit.waiting import wait_until
from tests.cluster_kit.witness import Watch
from tests.monitoring.queries import panel_queries

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.timeout(1800)]

STAGES = ["pretrain", "preflight", "sensitivity", "round", "convert", "benchmark", "report"]


@dataclass
class Course:
    """A job that has ended, and every status that a watching user saw."""

    site: Site
    statuses: list[dict[str, Any]] = field(default_factory=list)

    def see(self, _kind: str, job: dict[str, Any]) -> None:
        """Take note of a change."""
        if job.get("status"):
            self.statuses.append(job["status"])

    @property
    def end(self) -> dict[str, Any]:
        """The last status."""
        return self.site.status("digits")


@pytest.fixture(scope="module")
def site(open_site: OpenSite) -> Site:
    """A namespace with a store."""
    site = open_site("digits")
    site.serve()
    return site


@pytest.fixture(scope="module")
def metrics(site: Site) -> Iterator[Prometheus | None]:
    """A real Prometheus that scrapes the operator all the while, where there is one."""
    try:
        with prometheus(site.folder, site.operator.metrics_port) as server:
            yield server
    except NoPrometheus:
        yield None


@pytest.fixture(scope="module")
def course(site: Site, metrics: Prometheus | None) -> Course:
    """The example as it is, run to its end."""
    course = Course(site)
    watch = Watch(site.cluster, site.namespace, "pruningjobs", course.see)
    name = site.apply(example("digits.yaml"))
    site.cluster.kubectl(
        "wait", f"pj/{name}", "-n", site.namespace, "--for=condition=Ready", "--timeout=1500s"
    )
    watch.close()
    return course


def test_it_succeeds_with_every_constraint_measured(course: Course) -> None:
    status = course.end
    assert status["phase"] == "Succeeded"
    assert [one["name"] for one in status["stages"] if one["name"] != "round"] == [
        one for one in STAGES if one != "round"
    ]
    assert all(one["holds"] and one["measured"] != "not measured" for one in status["constraints"])
    metrics = {one["metric"] for one in status["constraints"]}
    assert metrics == {"targetMacs", "accuracyDrop", "speedup", "modelSize"}


def test_the_models_lie_on_the_claim(course: Course) -> None:
    artifacts = course.end["artifacts"]
    models = [one for one in artifacts if one["kind"] == "model"]
    assert {one["uri"].rsplit(".", 1)[1] for one in models} == {"nb", "onnx"}
    for one in artifacts:
        assert one["uri"].startswith("pvc://artifacts/units/")
    for one in models:
        path = one["uri"].removeprefix("pvc://artifacts/")
        assert course.site.keeper.sha256(path) == one["sha256"]
        assert course.site.keeper.bytes(path) == one["bytes"]


def test_fetch_brings_every_result_here_and_leaves_no_job(course: Course, tmp_path: Path) -> None:
    named = {one["uri"].rsplit("/", 1)[1]: one["sha256"] for one in course.end["artifacts"]}
    assert course.site.fetch("digits", tmp_path / "results") == named
    chosen = ("-l", "app.kubernetes.io/component=storekeeper")
    assert course.site.cluster.list("jobs", course.site.namespace, *chosen) == []


def test_each_piece_of_work_has_one_job_and_each_shard_one_pod(course: Course) -> None:
    work = course.site.witness.work("digits")
    assert set(work.values()) == {1}
    assert {one[0] for one in work} == set(STAGES)
    (sensitivity,) = [
        job
        for job in course.site.witness.jobs("digits")
        if job["metadata"]["labels"]["secateur.dev/stage"] == "sensitivity"
    ]
    assert sensitivity["status"]["succeeded"] == 2
    assert sensitivity["status"].get("failed", 0) == 0


def test_progress_moves_while_a_stage_runs(course: Course) -> None:
    percents = [status.get("percent", 0) for status in course.statuses]
    assert percents == sorted(percents)
    assert len(set(percents)) > len(STAGES), "the percentage moved only from stage to stage"
    beats: dict[str, set[str]] = {}
    for status in course.statuses:
        if status.get("progress"):
            beats.setdefault(status["stage"]["job"], set()).add(status["progress"]["heartbeat"])
    assert max(len(heard) for heard in beats.values()) > 1, "no stage was heard of twice while it ran"


def test_kubectl_get_tells_the_story(course: Course) -> None:
    table = course.site.cluster.kubectl("get", "pj", "-n", course.site.namespace)
    head, row = table.splitlines()
    for word in ("PHASE", "ROUND", "METRIC", "DROP", "MACS", "SPEED", "AGE"):
        assert word in head
    assert "Succeeded" in row
    cut = course.end["rounds"][-1]["outcome"]["cutMacs"]
    assert f"{100 * cut:.0f}" in row or f"{100 * cut:.1f}" in row


def test_events_are_few_and_tell_each_stage(course: Course) -> None:
    notes = [event["note"] for event in course.site.events("digits")]
    for stage in ("pretrain", "preflight", "sensitivity", "convert", "benchmark", "report"):
        assert any(note.startswith(f"{stage} done in") for note in notes), notes
    assert len(notes) < 50


def test_stage_pods_are_restricted_and_have_no_token(course: Course) -> None:
    jobs = course.site.witness.jobs("digits")
    assert jobs
    for job in jobs:
        pod = job["spec"]["template"]["spec"]
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert all(one["securityContext"]["readOnlyRootFilesystem"] for one in pod["containers"])
    assert "secateur.dev" not in json.dumps([job["spec"]["template"]["spec"]["volumes"] for job in jobs])


def test_every_panel_has_data(course: Course, metrics: Prometheus | None) -> None:
    if metrics is None:
        pytest.skip("needs prometheus on PATH (apt-get install prometheus)")
    site = course.site
    digest = site.keeper.write(CODE_PATH, user_code())
    name = site.apply(troubled("retried", digest, "pretrain", "die-once"))
    site.wait_done(name, "pretrain")  # so that there is a retry to show

    def empty() -> list[str]:
        return [f"{one.where}: {one.expr}" for one in panel_queries("10m") if not metrics.query(one.expr)]

    wait_until("every panel has data", lambda: not empty(), 30, empty)
