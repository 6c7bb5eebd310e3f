"""Stage pretrain as a process: it learns, repeats itself to the byte, resumes, and explains every fault."""

from __future__ import annotations

import hashlib
import itertools
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from secateur_api.code_digest import code_sha256
from secateur_api.conditions import Reason
from secateur_api.stage import LITE_PYTHON_VARIABLE, TERMINATION_LIMIT, ExitCode, Stage
from secateur_jobs import checkpoint
from secateur_jobs.runtime.errors import MissingData
from secateur_jobs.runtime.store import Store
from secateur_jobs.training.seeding import seed_everything
from secateur_jobs.zoo.ernie import ernie_classifier
from tests.jobs.rebuilding import rebuilt
from tests.jobs.stages import Ended, digits_spec, run, stage_input

pytestmark = pytest.mark.paddle


def _spec(**changes: object) -> dict[str, object]:
    """Return a job that needs no Paddle Lite."""
    return digits_spec(**{"convert": [{"format": "onnx"}], "benchmark": [], **changes})


def _pretrain(tmp_path: Path, store: str = "store", **spec: object) -> Ended:
    request = stage_input(Stage.PRETRAIN, _spec(**spec), tmp_path / store)
    return run("pretrain", request, tmp_path)


def test_a_baseline_is_trained_committed_and_not_trained_again(tmp_path: Path) -> None:
    first = _pretrain(tmp_path)
    assert first.code == ExitCode.DONE, first.stderr
    assert first.said.outcome.pretrain is not None
    assert first.said.outcome.pretrain.epochs == 1
    assert (tmp_path / "termination.json").stat().st_size <= TERMINATION_LIMIT
    percents = [p.percent for p in first.progress]
    assert percents == sorted(percents)
    assert percents[-1] == 100
    assert any(p.step == "pretrain epoch 1/1" for p in first.progress)

    unit = first.said.unit
    assert unit is not None
    content = Store(str(tmp_path / "store")).unit_file(unit, "checkpoint")
    rebuilt(content)

    again = _pretrain(tmp_path)
    assert again.code == ExitCode.DONE
    assert again.said.reused
    assert [p.step for p in again.progress] == ["read data, code and weights"]
    assert again.said.outcome == first.said.outcome
    assert again.said.seconds == first.said.seconds

    elsewhere = _pretrain(tmp_path, store="other")
    assert not elsewhere.said.reused
    assert Store(str(tmp_path / "other")).unit_file(unit, "checkpoint") == content


def test_a_truncated_checkpoint_in_the_store_is_found_out(tmp_path: Path) -> None:
    unit = _pretrain(tmp_path).said.unit
    assert unit is not None
    store = Store(str(tmp_path / "store"))
    path = tmp_path / "store" / store.unit_ref(unit, "checkpoint").path
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(MissingData, match=r"sha256 .* expected") as caught:
        store.unit_file(unit, "checkpoint")
    assert caught.value.reason is Reason.ARTIFACT_CORRUPT
    assert caught.value.exit_code == ExitCode.MISSING_DATA


def test_a_truncated_result_is_not_taken_for_done(tmp_path: Path) -> None:
    first = _pretrain(tmp_path).said
    assert first.unit is not None
    result = tmp_path / "store" / "units" / first.unit / "result.json"
    result.write_text(result.read_text()[:100])
    again = _pretrain(tmp_path).said
    assert not again.reused
    assert again.outcome == first.outcome
    assert again.message.startswith("done again: ")
    assert str(result) in again.message
    assert _pretrain(tmp_path).said.reused


def test_a_store_that_refuses_a_large_file_commits_nothing(tmp_path: Path) -> None:
    """The process may write files of 4 KiB only: the checkpoint fails half way."""
    request = stage_input(Stage.PRETRAIN, _spec(), tmp_path / "store")
    ended = run("pretrain", request, tmp_path, file_limit=4096)
    assert ended.code == ExitCode.RETRYABLE, ended.stderr
    assert ended.said.reason == Reason.STORE_UNAVAILABLE.value
    assert "File too large" in ended.said.message
    assert [p for p in (tmp_path / "store").rglob("*") if p.is_file()] == []
    assert run("pretrain", request, tmp_path).code == ExitCode.DONE


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mount.returncode != 0:
        pytest.skip(f"mounting a small file system needs root: {mount.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_is_a_passing_fault(small_disk: Path, tmp_path: Path) -> None:
    ended = run("pretrain", stage_input(Stage.PRETRAIN, _spec(), small_disk / "store"), tmp_path)
    assert ended.code == ExitCode.RETRYABLE, ended.stderr
    assert ended.said.reason == Reason.STORE_FULL.value
    assert "no space left" in ended.said.message
    assert [p for p in small_disk.rglob("*") if p.is_file()] == []


def test_a_full_disk_for_the_message_too_keeps_the_exit_code(small_disk: Path) -> None:
    for index in itertools.count():
        try:
            (small_disk / f"filler-{index}").write_bytes(b"x" * 4096)
        except OSError:
            break
    ended = run("pretrain", stage_input(Stage.PRETRAIN, _spec(), small_disk / "store"), small_disk)
    assert ended.code == ExitCode.RETRYABLE, ended.stderr
    assert "cannot be written" in ended.stderr


_MINE = """
import paddle

def net():
    from secateur_jobs.zoo.digits import residual_net
    return residual_net(width=4)
"""


@pytest.mark.parametrize("packed", [False, True])
def test_user_code_comes_as_a_folder_or_a_zip(packed: bool, tmp_path: Path) -> None:
    code = tmp_path / "mine"
    code.mkdir()
    (code / "my_models.py").write_text(_MINE)
    if packed:
        code = tmp_path / "mine.zip"
        with zipfile.ZipFile(code, "w") as archive:
            archive.writestr("my_models.py", _MINE)
    spec = _spec(code={"uri": str(code), "sha256": code_sha256(code)})
    spec["model"] = {**spec["model"], "factory": "my_models:net", "args": {}}
    ended = run("pretrain", stage_input(Stage.PRETRAIN, spec, tmp_path / "store"), tmp_path)
    assert ended.code == ExitCode.DONE, ended.stderr


def test_pretraining_goes_on_from_given_weights(tmp_path: Path) -> None:
    unit = _pretrain(tmp_path).said.unit
    assert unit is not None
    store = Store(str(tmp_path / "store"))
    ref = store.unit_ref(unit, "checkpoint")
    model = _spec()["model"]
    weights = {"uri": str(tmp_path / "store" / ref.path), "sha256": ref.sha256}
    slow = {"epochs": 1, "learningRate": 1e-9}
    ended = _pretrain(tmp_path, model={**model, "pretrain": slow, "weights": weights})
    assert ended.code == ExitCode.DONE, ended.stderr
    before = store.result(unit)
    assert before is not None
    assert before.summary.outcome.pretrain is not None
    assert ended.said.outcome.pretrain is not None
    assert ended.said.outcome.pretrain.metric == pytest.approx(
        before.summary.outcome.pretrain.metric, abs=0.1
    )


def _published(path: Path, **args: Any) -> dict[str, np.ndarray]:
    """Write an encoder as PaddleNLP's users find it: no classifier, but the head of its pretraining."""
    seed_everything(5)
    state = ernie_classifier(2, **args).state_dict()
    encoder = {name: tensor.numpy() for name, tensor in state.items() if name.startswith("ernie.")}
    np.savez(path, **encoder, **{"cls.predictions.transform.bias": np.zeros(8, np.float32)})
    return encoder


def test_a_published_encoder_gets_a_head_under_the_seed(tmp_path: Path) -> None:
    args = {"vocab_size": 451, "hidden": 8, "layers": 1, "heads": 2, "ffn": 8, "positions": 32, "tasks": 0}
    encoder = _published(tmp_path / "encoder.npz", **args)
    model = {
        "factory": "secateur_jobs.zoo.ernie:ernie_classifier",
        "args": {"num_classes": 5, **args},
        "weights": {"uri": str(tmp_path / "encoder.npz"), "ignore": ["cls.*"]},
        "pretrain": {"epochs": 1, "learningRate": 1e-9, "fresh": ["classifier.*"]},
        "inputs": [{"name": "ids", "shape": [1, 32], "dtype": "int64"}],
    }
    data = {
        "factory": "secateur_jobs.data.sentences:splits",
        "args": {"train_texts": 64, "eval_texts": 16, "length": 32},
    }
    trained = []
    for store in ("one", "two"):
        ended = _pretrain(tmp_path, store, model=model, data=data, seed=3)
        assert ended.code == ExitCode.DONE, ended.stderr
        content = Store(str(tmp_path / store)).unit_file(str(ended.said.unit), "checkpoint")
        trained.append(checkpoint.state(rebuilt(content)))
    for name, array in encoder.items():  # the rate is too small to move them
        np.testing.assert_allclose(trained[0][name], array, atol=1e-6)
    assert trained[0]["classifier.weight"].shape == (8, 5)
    assert np.abs(trained[0]["classifier.weight"]).max() > 0
    np.testing.assert_array_equal(trained[0]["classifier.weight"], trained[1]["classifier.weight"])
    headless = {**model, "pretrain": {"epochs": 1}}
    ended = _pretrain(tmp_path, "three", model=headless, data=data)
    assert (ended.code, ended.said.reason) == (ExitCode.INVALID_INPUT, "WeightsInvalid")
    assert "lacks classifier.weight, classifier.bias; " in ended.said.message
    assert "spec.model.pretrain.fresh" in ended.said.message
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("changes", "reason", "words"),
    [
        (
            {"convert": [{"format": "paddle-lite", "backend": "arm"}]},
            Reason.TOOLCHAIN_MISSING,
            "spec.convert: Paddle Lite is missing",
        ),
        (
            {"pruning": {"layers": [{"match": "layr1.*", "ratio": 0.5}]}},
            Reason.PATTERN_MATCHES_NOTHING,
            "did you mean 'layer1'",
        ),
        (
            {"pruning": {"target": {"macs": "50%"}, "criterion": "nowhere:score"}},
            Reason.CODE_NOT_FOUND,
            "spec.pruning.criterion: there is no module 'nowhere'",
        ),
        ({"evaluation": {"metric": "nowhere:f1"}}, Reason.CODE_NOT_FOUND, "spec.evaluation.metric"),
    ],
    ids=["toolchain", "pattern", "criterion", "metric"],
)
def test_what_cannot_work_is_refused_before_the_training(
    changes: dict[str, object], reason: Reason, words: str, tmp_path: Path
) -> None:
    request = stage_input(Stage.PRETRAIN, _spec(**changes), tmp_path / "store")
    ended = run("pretrain", request, tmp_path, **{LITE_PYTHON_VARIABLE: "/nowhere/python"})
    assert (ended.code, ended.said.reason) == (ExitCode.INVALID_INPUT, reason.value)
    assert words in ended.said.message
    assert {one.step for one in ended.progress} <= {"read data, code and weights", "starting"}


def test_a_wrong_digest_of_weights_ends_the_stage_at_once(tmp_path: Path) -> None:
    path = tmp_path / "w.npz"
    path.write_bytes(b"")
    wrong = hashlib.sha256(b"another").hexdigest()
    model = {**_spec()["model"], "weights": {"uri": str(path), "sha256": wrong}}
    ended = _pretrain(tmp_path, model=model)
    assert ended.code == ExitCode.INVALID_INPUT
    assert ended.said.reason == Reason.WEIGHTS_INVALID.value
    assert "spec.model.weights.sha256" in ended.said.message
    assert "Traceback" not in ended.stderr


def test_slow_running_averages_do_not_spoil_the_baseline(tmp_path: Path) -> None:
    """With momentum 0.99 the running variance is still near its start after 90 steps."""
    code = tmp_path / "mine"
    code.mkdir()
    (code / "slow_models.py").write_text(
        "import paddle\n"
        "from secateur_jobs.zoo.digits import residual_net\n"
        "def net():\n"
        "    made = residual_net(width=8)\n"
        "    for layer in made.sublayers():\n"
        "        if isinstance(layer, paddle.nn.BatchNorm2D):\n"
        "            layer._momentum = 0.999\n"
        "    return made\n"
    )
    spec = _spec(code={"uri": str(code), "sha256": code_sha256(code)})
    pretrain = {"epochs": 3, "learningRate": 0.005, "batchSize": 32}
    spec["model"] = {**spec["model"], "factory": "slow_models:net", "args": {}, "pretrain": pretrain}
    ended = run("pretrain", stage_input(Stage.PRETRAIN, spec, tmp_path / "store"), tmp_path)
    assert ended.code == ExitCode.DONE, ended.stderr
    assert ended.said.outcome.pretrain is not None
    assert ended.said.outcome.pretrain.metric > 0.6
