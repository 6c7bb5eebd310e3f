"""What GitOps tools and ``kubectl wait`` conclude from the statuses of whole jobs."""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.unit.control.histories import COURSES, Document, history
from tests.unit.control.kstatus import kstatus

_HEALTH_CHECK = Path(__file__).parents[3] / "docs" / "argocd-health.lua"
_LUA = next((found for name in ("lua5.1", "lua5.4", "lua") if (found := shutil.which(name))), None)
_KSTATUS = {
    "Pending": "InProgress",
    "Running": "InProgress",
    "Suspended": "InProgress",
    "Succeeded": "Current",
    "Failed": "Failed",
}
_ARGO_CD = {
    "Pending": "Progressing",
    "Running": "Progressing",
    "Suspended": "Suspended",
    "Succeeded": "Healthy",
    "Failed": "Degraded",
}
each_course = pytest.mark.parametrize("course", COURSES)


def _is_seen(version: Document) -> bool:
    return bool(version["status"].get("observedGeneration") == version["metadata"]["generation"])


def test_the_histories_have_every_phase_and_unseen_changes() -> None:
    versions = list(itertools.chain(*(history(course) for course in COURSES)))
    # Pending is said only until the pass that says it has made the first Job
    assert {one["status"].get("phase") for one in versions} == {None, *_KSTATUS} - {"Pending"}
    assert any(one["status"].get("phase") == "Succeeded" and not _is_seen(one) for one in versions)


@each_course
def test_kstatus_follows_the_phase(course: str) -> None:
    for version in history(course):
        expected = _KSTATUS[version["status"]["phase"]] if _is_seen(version) else "InProgress"
        assert kstatus(version) == expected, version["status"]


@each_course
def test_a_condition_is_true_or_false_of_the_generation_that_the_status_speaks_of(course: str) -> None:
    """``kubectl wait --for=condition=Ready`` never returns where a condition stays older than the spec."""
    for version in history(course):
        status = version["status"]
        seen = {one["observedGeneration"] for one in status.get("conditions", [])}
        assert seen <= {status["observedGeneration"]}, status


@pytest.mark.skipif(_LUA is None, reason="needs Lua: apt-get install lua5.1 (Argo CD's), or lua5.4")
@each_course
def test_argo_cd_follows_the_phase(course: str) -> None:
    versions = history(course)
    for version, health in zip(versions, _argo_cd(versions), strict=True):
        if not _is_seen(version):
            assert health == {"status": "Progressing", "message": "Waiting for the operator"}
            continue
        status = version["status"]
        assert health == {"status": _ARGO_CD[status["phase"]], "message": status["message"]}


@pytest.mark.skipif(_LUA is None, reason="needs Lua: apt-get install lua5.1 (Argo CD's), or lua5.4")
def test_argo_cd_of_a_job_without_any_status() -> None:
    assert _argo_cd([{"metadata": {"generation": 1}}])[0]["status"] == "Progressing"


def _argo_cd(resources: list[Document]) -> list[dict[str, str]]:
    """Run the health check as Argo CD does: the resource is the global ``obj``, the check returns a table."""
    check = _lua(str(_HEALTH_CHECK))
    script = "".join(
        f"obj = {_lua(one)}\nhealth = assert(loadfile({check}))()\n"
        'io.write(health.status, "\\0", health.message, "\\0")\n'
        for one in resources
    )
    ran = subprocess.run([str(_LUA), "-"], input=script, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    said = ran.stdout.split("\0")[:-1]
    return [{"status": s, "message": m} for s, m in zip(said[::2], said[1::2], strict=True)]


def _lua(value: Any) -> str:
    """Write JSON as a Lua literal."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"[{_lua(key)}] = {_lua(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "{" + ", ".join(map(_lua, value)) + "}"
    if isinstance(value, str):
        return '"' + "".join(f"\\{byte:03d}" for byte in value.encode()) + '"'
    return "nil" if value is None else json.dumps(value)
