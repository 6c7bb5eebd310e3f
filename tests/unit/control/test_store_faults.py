"""Whole jobs on the fake cluster: units that get damaged on the way, and credentials in URIs."""

from __future__ import annotations

from secateur_api import Stage, StageSummary
from secateur_api.conditions import Phase
from secateur_operator.domain import named
from secateur_operator.domain.plan import StageJob
from secateur_operator.domain.times import moment_of
from secateur_operator.gateway.protocol import Key
from tests.control_plane.fake_cluster import FakeCluster, ShardEnd
from tests.unit.control.jobs import START, all_well, document, drive


def _damaged(stage: Stage, unit: str) -> ShardEnd:
    summary = StageSummary(
        stage=stage, ok=False, reason="ArtifactCorrupt", message=f"{unit} is gone", damaged=unit
    )
    return ShardEnd(66, summary.model_dump_json(by_alias=True, exclude_none=True))


def _run(times: int, foreign: bool = False, **spec: object) -> tuple[FakeCluster, Key, list[str]]:
    """Convert finds preflight's unit damaged, the first ``times`` times."""
    asked: list[str] = []

    def script(wanted: StageJob, index: int) -> ShardEnd:
        asked.append(wanted.stage.value)
        if wanted.stage is Stage.CONVERT and asked.count("convert") <= times:
            unit = wanted.input.upstream.preflight
            return _damaged(Stage.CONVERT, "preflight-foreign" if foreign else str(unit))
        return all_well(wanted, index)

    cluster = FakeCluster(script, START)
    key = cluster.apply(document(**spec))
    drive(cluster, key)
    return cluster, key, asked


def test_a_damaged_unit_of_a_finished_stage_is_gone_back_to() -> None:
    cluster, key, asked = _run(1)
    status = cluster.status(key)
    assert (status.phase, status.mended, status.run) == (Phase.SUCCEEDED, 1, 2)
    assert asked.count("pretrain") == 2
    assert status.started_at is not None
    assert moment_of(status.started_at) == START


def test_it_is_gone_back_to_only_so_often() -> None:
    cluster, key, asked = _run(100, budget={"retries": 2})
    status = cluster.status(key)
    assert (status.phase, status.mended) == (Phase.FAILED, 2)
    assert asked.count("convert") == 3
    assert "is gone" in status.message


def test_a_unit_that_no_stage_of_the_job_made_is_not_waited_for() -> None:
    cluster, key, asked = _run(100, foreign=True)
    assert cluster.status(key).phase is Phase.FAILED
    assert asked.count("convert") == 1


def test_credentials_in_uris_reach_the_stages_and_are_shown_nowhere() -> None:
    store = {"uri": "s3://key:hush@bucket/prefix"}
    weights = {"uri": "https://jane:hush@host/net.npz"}
    model = {**document()["spec"]["model"], "weights": weights}
    code = {"uri": "https://host/code.zip?X-Amz-Signature=hush", "sha256": "0" * 64}
    seen: list[StageJob] = []

    def script(wanted: StageJob, index: int) -> ShardEnd:
        seen.append(wanted)
        return all_well(wanted, index)

    cluster = FakeCluster(script, START)
    key = cluster.apply(document(store=store, model=model, code=code))
    drive(cluster, key)
    status = cluster.status(key)
    assert (status.phase, status.run) == (Phase.SUCCEEDED, 1)
    assert "hush" not in status.model_dump_json()
    assert status.artifacts[0].uri.startswith("s3://***@bucket/prefix/units/")
    assert {one.input.spec.code.uri for one in seen if one.input.spec.code} == {code["uri"]}
    assert {one.input.store for one in seen} == {store["uri"]}
    assert {one.input.spec.model.weights.uri for one in seen if one.input.spec.model.weights} == {
        weights["uri"]
    }


def test_what_may_go_is_older_than_any_running_stage() -> None:
    cluster, key, _ = _run(0)
    status = cluster.status(key)
    units = named.units_of(status)
    assert {unit for done in status.stages for unit in done.units} <= units
    assert {done.unit for done in status.rounds} <= units
    assert named.safe_before([status], 1000.0, 100.0) == 900.0
    late = START.timestamp() + 5000
    running = status.model_copy(update={"stage": _under_way(status.started_at)})
    assert named.safe_before([status, running], late, 100.0) == START.timestamp()


def _under_way(started_at: str | None):
    from secateur_api.status import CurrentStage

    return CurrentStage(name=Stage.ROUND, job="x", started_at=str(started_at))
