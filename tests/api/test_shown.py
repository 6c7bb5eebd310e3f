"""What users and their tools see of a job on the API server."""

from __future__ import annotations

import json
import re
import subprocess
from typing import Any

import pytest

from secateur_api.crd import FROZEN_MESSAGE, UNSEEN_STATUS
from tests.api.documents import MINIMAL, job, largest
from tests.api.server import Refused, Server, problems
from tests.unit.control.histories import COURSES, history

pytestmark = pytest.mark.api
EVENTFUL = "a retry, a roll-back, a constraint"


class Job:
    """A PruningJob on the server whose status a test writes, as the operator does."""

    def __init__(self, server: Server, namespace: str, name: str, spec: dict[str, Any] | None = None) -> None:
        self._server, self._where = server, ("pruningjob", name, "-n", namespace)
        document = job(MINIMAL if spec is None else spec, name=name)
        server.kubectl("create", "-n", namespace, "-f", "-", document=document)

    def status(self) -> dict[str, Any]:
        """Return what is stored."""
        found: dict[str, Any] = json.loads(self._server.kubectl("get", *self._where, "-o", "json"))["status"]
        return found

    def write(self, status: dict[str, Any], *options: str) -> dict[str, Any]:
        """Merge into the status and return what is stored; a field that the CRD lacks is refused."""
        return self.patch({"status": status}, "--subresource=status", *options)["status"]

    def patch(self, patch: dict[str, Any], *options: str) -> dict[str, Any]:
        """Merge into the object; return what is stored then."""
        words = ("patch", *self._where, "--type=merge", "-p", json.dumps(patch), "-o", "json", *options)
        found: dict[str, Any] = json.loads(self._server.kubectl(*words))
        return found


def _table(text: str) -> list[dict[str, str]]:
    """Read what ``kubectl get`` prints: cells by column."""
    head, *rows = text.splitlines()
    names = list(re.finditer(r"\S+( \S+)*", head))
    ends = [*(name.start() for name in names[1:]), None]
    return [
        {name[0]: row[name.start() : end].strip() for name, end in zip(names, ends, strict=True)}
        for row in rows
    ]


def _when(course: str, **wanted: Any) -> dict[str, Any]:
    """Return the last status of a course that has these values."""
    statuses = [one["status"] for one in history(course)]
    return [one for one in statuses if wanted.items() <= one.items()][-1]


def test_a_new_job_is_one_that_no_operator_has_seen(server: Server, namespace: str) -> None:
    assert Job(server, namespace, "unseen").status() == UNSEEN_STATUS


@pytest.mark.parametrize("course", COURSES)
def test_the_server_keeps_every_field_of_a_real_status(server: Server, namespace: str, course: str) -> None:
    found = Job(server, namespace, f"course-{list(COURSES).index(course)}")
    statuses = [one["status"] for one in history(course)]
    chosen = statuses if course == EVENTFUL else statuses[-1:]
    for status in chosen:
        assert found.write(status, "--dry-run=server") == {**UNSEEN_STATUS, **status}


def test_the_largest_spec_is_taken_and_its_rules_are_still_affordable(server: Server, namespace: str) -> None:
    found = Job(server, namespace, "largest", largest())
    found.write({"phase": "Running"})
    assert found.patch({"spec": {"suspend": True}})["spec"]["suspend"] is True
    with pytest.raises(Refused) as refused:
        found.patch({"spec": {"model": {"args": {"argument1999": "y"}}}})
    assert problems(str(refused.value)) == {"spec.model": f"Forbidden: {FROZEN_MESSAGE}"}


def test_what_kubectl_get_shows(server: Server, namespace: str) -> None:
    Job(server, namespace, "shown-1-unseen")
    Job(server, namespace, "shown-2-running").write(_when(EVENTFUL, phase="Running", model=_second_model()))
    Job(server, namespace, "shown-3-ended").write(_when(EVENTFUL, phase="Succeeded"))
    rows = _shown(server, namespace)
    assert list(rows["shown-1-unseen"].values())[1:-1] == [""] * 9
    running = rows["shown-2-running"]
    assert (running["PHASE"], running["STAGE"]) == ("Running", "round")
    assert running["REASON"] == "StageRunning"
    assert running["PROGRESS"].endswith("%")
    assert running["ROUND"] == "3"
    assert running["SPEED-UP"] == ""
    ended = rows["shown-3-ended"]
    assert {name: ended[name] for name in list(ended)[1:-1]} == {
        "PHASE": "Succeeded",
        "REASON": "ConstraintsMet",
        "STAGE": "",
        "ROUND": "5",
        "PROGRESS": "100%",
        "METRIC": "0.9790",
        "DROP": "0.10%",
        "MACS CUT": "50.0%",
        "SPEED-UP": "1.60x",
    }
    assert ended["AGE"].endswith("s")
    assert "MESSAGE" not in ended
    wide = _shown(server, namespace, "-o", "wide")["shown-3-ended"]
    assert wide["MESSAGE"] == _when(EVENTFUL, phase="Succeeded")["message"]


def _second_model() -> str:
    """The unit of the round that is the best while the round after the one rolled back runs."""
    rounds = _when(EVENTFUL, phase="Succeeded")["rounds"]
    assert [one["accepted"] for one in rounds[:2]] == [True, False]
    return str(rounds[0]["unit"])


def _shown(server: Server, namespace: str, *options: str) -> dict[str, dict[str, str]]:
    rows = _table(server.kubectl("get", "pj", "-n", namespace, *options))
    return {row["NAME"]: row for row in rows if row["NAME"].startswith("shown-")}


def test_jobs_are_found_by_phase(server: Server, namespace: str) -> None:
    Job(server, namespace, "found").write({"phase": "Failed"})
    Job(server, namespace, "other").write({"phase": "Running"})
    found = server.kubectl("get", "pj", "-n", namespace, "--field-selector=status.phase=Failed", "-o", "name")
    assert found.split() == ["pruningjob.secateur.dev/found"]


def test_jobs_are_in_the_category_all(server: Server, namespace: str) -> None:
    Job(server, namespace, "in-all")
    assert "pruningjob.secateur.dev/in-all" in server.kubectl("get", "all", "-n", namespace, "-o", "name")


def test_kubectl_wait_waits_for_the_newest_spec(server: Server, namespace: str) -> None:
    """A job that is Ready of an older spec is not Ready; when the operator has looked again, it is."""
    found = Job(server, namespace, "waited-for")
    wait = ("wait", "pj/waited-for", "-n", namespace, "--for=condition=Ready")
    ended = _when("ended, then told to suspend", phase="Succeeded", observedGeneration=1)
    found.write(ended)
    assert "condition met" in server.kubectl(*wait, "--timeout=20s")
    found.patch({"spec": {"suspend": True}})
    with pytest.raises(Refused, match="timed out waiting"):
        server.kubectl(*wait, "--timeout=1s")
    with subprocess.Popen(
        server.command(*wait, "--timeout=60s"), stdout=subprocess.PIPE, text=True
    ) as waiting:
        found.write(_when("ended, then told to suspend", phase="Succeeded", observedGeneration=2))
        said, _ = waiting.communicate(timeout=60)
    assert "condition met" in said
