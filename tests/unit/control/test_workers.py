"""Several workers of a round: one Job, one unit, one failure that says what happened."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import yaml

from secateur_api import InvalidResource, Stage, StageInput
from secateur_api.conditions import Phase
from secateur_api.stage import unit_name
from secateur_operator.document import read_job
from secateur_operator.domain import record
from secateur_operator.domain.observed import JobState, ObservedJob, ObservedShard
from secateur_operator.domain.plan import StageJob
from secateur_operator.local_files import pinned
from tests.control_plane.fake_cluster import FakeCluster, ShardEnd
from tests.unit.control.jobs import START, all_well, document, drive, failed, job


def test_a_round_has_as_many_processes_as_workers_and_one_unit() -> None:
    seen: dict[Stage, int] = {}

    def script(wanted: StageJob, index: int) -> ShardEnd:
        seen[wanted.stage] = wanted.shards
        return all_well(wanted, index)

    cluster = FakeCluster(script, START)
    key = cluster.apply(document(fineTune={"workers": 3}, sensitivity={"shards": 2}))
    status = drive(cluster, key)
    assert status.phase is Phase.SUCCEEDED
    assert seen[Stage.ROUND] == 3
    assert seen[Stage.SENSITIVITY] == 2
    assert seen[Stage.PREFLIGHT] == seen[Stage.CONVERT] == 1
    assert all(len(done.units) == 1 for done in status.stages if done.name is Stage.ROUND)


def test_without_training_one_process_is_enough() -> None:
    seen: set[int] = set()

    def script(wanted: StageJob, index: int) -> ShardEnd:
        seen.add(wanted.shards)
        return all_well(wanted, index)

    cluster = FakeCluster(script, START)
    drive(cluster, cluster.apply(document(fineTune={"workers": 3, "epochs": 0})))
    assert seen == {1}


def test_only_workers_of_a_round_share_their_unit() -> None:
    def name(stage: Stage, shard: int, shards: int) -> str:
        spec = job().spec
        return unit_name(StageInput(job="a", stage=stage, spec=spec, store="s", shard=shard, shards=shards))

    assert name(Stage.ROUND, 0, 2) == name(Stage.ROUND, 1, 2)
    assert name(Stage.SENSITIVITY, 0, 2) != name(Stage.SENSITIVITY, 1, 2)


def _shard(index: int, code: int | None, reason: str | None = None) -> ObservedShard:
    message = failed(Stage.ROUND, 75, reason, f"{reason} it is").message if reason else None
    return ObservedShard(index, JobState.FAILED, code, message)


@pytest.mark.parametrize(
    ("shards", "words"),
    [
        ((_shard(0, 75, "WorkerLost"), _shard(1, 137)), "was killed by SIGKILL"),
        ((_shard(0, None), _shard(1, 75, "StoreFull")), "StoreFull it is"),
    ],
    ids=["killed", "full"],
)
def test_what_happened_is_said_before_what_followed(shards: tuple[ObservedShard, ...], words: str) -> None:
    found = record.failure_of(ObservedJob("name", "uid", 1, JobState.FAILED, shards))
    assert found.retryable
    assert words in found.message


def _with_teacher(folder: Path, **weights: str) -> Path:
    teacher = {"factory": "some.module:larger", "weights": {"uri": "t.npz", **weights}}
    text = document(fineTune={"distillation": {"teacher": teacher}})
    (folder / "job.yaml").write_text(yaml.safe_dump(text))
    return folder / "job.yaml"


def test_the_teachers_weights_are_pinned_like_the_models(tmp_path: Path) -> None:
    (tmp_path / "t.npz").write_bytes(b"teacher")
    found = pinned(read_job(_with_teacher(tmp_path)), tmp_path, None).spec.fine_tune.distillation.teacher
    assert found is not None
    assert found.weights.uri == str(tmp_path / "t.npz")
    assert found.weights.sha256 == hashlib.sha256(b"teacher").hexdigest()
    with pytest.raises(InvalidResource) as caught:
        pinned(read_job(_with_teacher(tmp_path, sha256="0" * 64)), tmp_path, None)
    assert "spec.fineTune.distillation.teacher.weights.sha256" in str(caught.value)
