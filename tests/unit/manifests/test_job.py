"""What a Job is told, where the settings or the spec decide it."""

from __future__ import annotations

import subprocess
from dataclasses import replace

import pytest

from secateur_api import Stage, StageInput
from secateur_api.resource import SPEC_LIMIT
from secateur_api.results import ModelNumbers, RoundOutcome
from secateur_api.stage import INPUT_LIMIT, Upstream
from secateur_api.status import Judged, RoundStatus, Verdict
from secateur_operator.domain.plan import StageJob
from secateur_operator.gateway.kube.manifests import PodDefaults, job_manifest
from secateur_operator.gateway.protocol import Refused
from tests.unit.manifests.stage_jobs import stage_job_of

DEFAULTS = PodDefaults()


def test_the_exit_codes_that_end_a_job_are_those_that_another_try_cannot_help() -> None:
    rules = job_manifest(stage_job_of(Stage.PREFLIGHT), DEFAULTS)["spec"]["podFailurePolicy"]["rules"]
    assert [rule["action"] for rule in rules] == ["Ignore", "FailJob"]
    assert rules[1]["onExitCodes"]["values"] == [64, 66, 69, 70]


@pytest.mark.parametrize(("attempt", "left"), [(1, 3), (2, 2), (4, 0), (9, 0)])
def test_a_later_attempt_has_the_tries_that_are_left(attempt: int, left: int) -> None:
    manifest = job_manifest(stage_job_of(Stage.CONVERT, attempt=attempt, budget={"retries": 3}), DEFAULTS)
    assert manifest["spec"]["backoffLimitPerIndex"] == left


def test_a_part_of_a_second_that_is_left_counts_as_one() -> None:
    manifest = job_manifest(stage_job_of(Stage.CONVERT, seconds=10.01), DEFAULTS)
    assert manifest["spec"]["activeDeadlineSeconds"] == 11


def test_an_image_is_required() -> None:
    with pytest.raises(Refused, match=r"^spec\.image: an image is required"):
        job_manifest(stage_job_of(Stage.CONVERT, image=None), DEFAULTS)


@pytest.mark.parametrize("queue", ["a" * 64, "ends-", "ends."])
def test_a_queue_that_can_be_no_label_is_refused(queue: str) -> None:
    with pytest.raises(Refused, match=r"^spec\.queue: .* expected the name of a LocalQueue"):
        job_manifest(stage_job_of(Stage.CONVERT, queue=queue), DEFAULTS)


def test_only_the_job_waits_in_the_queue() -> None:
    """Kueue would hold pods by the same label, each for itself."""
    manifest = job_manifest(stage_job_of(Stage.CONVERT, queue="team-a"), DEFAULTS)
    assert manifest["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "team-a"
    assert "kueue.x-k8s.io/queue-name" not in manifest["spec"]["template"]["metadata"]["labels"]


def _job_with_input_of(size: int) -> StageJob:
    job = stage_job_of(Stage.PREFLIGHT)
    letters = (size - len(job.input_json.encode())) // 3
    rest = size - len(job.input_json.encode()) - 3 * letters
    told = job.input.model_copy(update={"job": job.input.job + "剪" * letters + "x" * rest})
    return replace(job, input=told)


def test_an_input_that_is_too_long_is_refused_before_any_pod_fails() -> None:
    job_manifest(_job_with_input_of(INPUT_LIMIT), DEFAULTS)
    with pytest.raises(Refused) as refused:
        job_manifest(_job_with_input_of(INPUT_LIMIT + 1), DEFAULTS)
    assert str(refused.value).startswith(f"spec: the input of stage preflight has {INPUT_LIMIT + 1} bytes; ")


def test_the_longest_input_is_one_that_a_process_can_be_given() -> None:
    def start(text: str) -> None:
        subprocess.run(["/bin/true"], env={"SECATEUR_INPUT": text}, check=True)

    start("x" * INPUT_LIMIT)
    with pytest.raises(OSError, match="Argument list too long"):
        start("x" * (INPUT_LIMIT + 1))


def test_what_a_job_gathers_always_fits_beside_the_longest_spec() -> None:
    """The report of a job with the most rounds, shards and constraints, each number as long as can be."""
    long = -0.12345678901234567e-300
    numbers = ModelNumbers(metric=long, macs=10**18, params=10**15)
    outcome = RoundOutcome(
        number=100,
        share=long,
        cut_macs=long,
        cut_params=long,
        cut_size=long,
        numbers=numbers,
        metric_cut=long,
        metric_repaired=long,
        drop=long,
        checkpoint_bytes=10**15,
    )
    unit = "sensitivity-" + "f" * 20
    rounds = [
        RoundStatus(outcome=outcome, accepted=False, floor=long, seconds=long, job="j" * 52, unit=unit)
    ] * 100
    judged = Judged(
        name="latencyP50 <= " + "9" * 32 + " on " + "d" * 63 + " (paddle-lite/x86)",
        metric="latencyP50",
        bound="9" * 32,
        measured="not measured",
        value=long,
        limit=long,
        device="d" * 63,
        format="paddle-lite",
        backend="x86",
        holds=False,
    )
    verdict = Verdict(holds=False, reason="r" * 32, message="m" * 1024, judged=[judged] * 34, rounds=rounds)
    job = stage_job_of(Stage.REPORT)
    gathered = StageInput(
        job="j" * 52,
        stage=Stage.REPORT,
        spec=job.input.spec,
        store="s" * 2048,
        upstream=Upstream(
            pretrain=unit,
            preflight=unit,
            sensitivity=[unit] * 256,
            rounds=[unit] * 100,
            model=unit,
            convert=unit,
            benchmark=[unit],
        ),
        verdict=verdict.to_wire(),
    )
    small = len(job.input.spec.model_dump_json(by_alias=True, exclude_none=True))
    size = len(gathered.model_dump_json(by_alias=True, exclude_none=True))
    assert size - small + SPEC_LIMIT <= INPUT_LIMIT
