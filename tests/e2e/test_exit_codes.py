"""Each exit code of the contract by a real cause, as the cluster sees it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.cluster_kit.documents import CODE_PATH, tiny, troubled, user_code
from tests.cluster_kit.fixtures import OpenSite
from tests.cluster_kit.site import Site

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.timeout(1800)]

FEW = {"budget": {"retries": 1}}


@dataclass(frozen=True)
class Case:
    """A job that goes wrong, and what its user reads."""

    make: Callable[[str, str], dict[str, Any]]
    reason: str
    words: str
    code: int
    pods: int = 1
    stage: str = "pretrain"
    changes: dict[str, Any] = field(default_factory=dict)


def _plain(changes: dict[str, Any]) -> Callable[[str, str], dict[str, Any]]:
    return lambda name, _digest: tiny(name, changes)


def _code(stage: str, how: str) -> Callable[[str, str], dict[str, Any]]:
    return lambda name, digest: troubled(name, digest, stage, how, FEW)


CASES = {
    "invalid-input": Case(
        _plain({"model.factory": "secateur_jobs.zoo.digits:residual"}),
        "CodeNotFound",
        "has no 'residual'",
        64,
    ),
    "missing-data": Case(
        _plain({"model.weights": {"uri": "file:///store/none.npz"}}),
        "WeightsMissing",
        "/store/none.npz",
        66,
    ),
    "unreachable": Case(
        _plain({"pruning.target": {"macs": "99%"}, "pruning.schedule.rounds": 20}),
        "TargetUnreachable",
        "99% of the macs is asked for, at most",
        69,
        stage="preflight",
    ),
    "internal": Case(_code("pretrain", "break"), "InternalError", "this is a defect in Secateur", 70),
    "retryable": Case(
        _code("pretrain", "exit-75"), "RetriesExhausted", "exit code 75 and left no message", 75, pods=2
    ),
    "killed": Case(_code("pretrain", "die"), "RetriesExhausted", "was killed by SIGKILL", 137, pods=2),
}


@pytest.fixture(scope="module")
def site(open_site: OpenSite) -> Site:
    """All of them at once."""
    site = open_site("codes")
    digest = site.keeper.write(CODE_PATH, user_code())
    site.serve()
    for name, case in CASES.items():
        site.apply(case.make(name, digest))
    return site


@pytest.mark.parametrize("name", CASES)
def test_it_fails_with_its_reason(site: Site, name: str) -> None:
    case = CASES[name]
    status = site.wait_end(name, "Failed")
    assert site.reason(name, "Stalled") == case.reason
    assert case.words in status["message"]
    assert status["message"].startswith(f"{case.stage}: ")
    pods = [pod for pod in site.pods(name) if pod["metadata"]["labels"]["secateur.dev/stage"] == case.stage]
    codes = [pod["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] for pod in pods]
    assert codes == [case.code] * case.pods
    assert f"kubectl logs -n {site.namespace} {pods[-1]['metadata']['name']}" in status["message"] or (
        case.pods > 1 and f"kubectl logs -n {site.namespace} " in status["message"]
    )


def test_killed_once_it_is_tried_again_and_goes_on(site: Site) -> None:
    digest = site.keeper.sha256(CODE_PATH)
    name = site.apply(troubled("killed-once", digest, "pretrain", "die-once"))
    site.wait_done(name, "pretrain")
    status = site.status(name)
    assert (status["phase"], status["run"]) == ("Running", 1)
    ends = [pod["status"]["phase"] for pod in site.pods(name) if "-pretrain-" in pod["metadata"]["name"]]
    assert sorted(ends) == ["Failed", "Succeeded"]
    assert 'secateur_stage_retries_total{reason="Killed",stage="pretrain"}' in site.operator.metrics()
    site.delete("pj", name)
