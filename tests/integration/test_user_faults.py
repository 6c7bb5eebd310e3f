"""Wrong input and faults as a user meets them: the real command, the real stages, one clear sentence."""

from __future__ import annotations

import hashlib
import os
import pickle
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from secateur_api.stage import LITE_PYTHON_VARIABLE
from tests.integration.real import CODE, ROOT, Ended, User, Watched, ended

pytestmark = [pytest.mark.paddle, pytest.mark.timeout(120), pytest.mark.xdist_group("user faults")]

LITE = {"convert": [{"format": "paddle-lite", "backend": "x86"}]}


@pytest.fixture(scope="module")
def user(tmp_path_factory: pytest.TempPathFactory) -> User:
    """One user with one home: what a job has finished, the next one finds."""
    folder = tmp_path_factory.mktemp("user")
    return User(folder, folder / "home")


_ROWS = re.findall(r"^\|[^|]*\| `([^`]+)`", (ROOT / "docs" / "faults.md").read_text(), re.M)
_DOCUMENTED = [re.compile(".*".join(re.escape(part) for part in row.split("..."))) for row in _ROWS]


def documented(message: str) -> None:
    """The table of faults has this sentence."""
    assert any(pattern.search(message) for pattern in _DOCUMENTED), f"docs/faults.md lacks: {message}"


def refused(done: Ended, *words: str) -> None:
    """The file is wrong: one line that says so, nothing on stdout, exit code 2."""
    assert (done.code, done.out) == (2, "")
    assert done.err.count("\n") == 1, done.err
    documented(done.err)
    for word in words:
        assert word in done.err


def failed(done: Ended, reason: str, *words: str) -> None:
    """The job failed: reason and message, the same on stderr, one sentence and the log that has the rest."""
    assert done.code == 1, done.err
    status = done.status
    assert (status["phase"], done.ready["reason"]) == ("Failed", reason)
    message = status["message"]
    assert done.ready["message"] == message
    for word in words:
        assert word in message
    documented(message)
    assert "\n" not in message
    assert len(message) < 700
    assert message in done.err
    assert "Traceback" not in done.err
    log = message.rpartition("(log: ")[2].removesuffix(")")
    assert Path(log).read_text().splitlines()[-1].split(": ", 1)[1] in message


# ---- the file ----


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "No such file or directory"),
        ("", "expected one PruningJob, found nothing"),
        ("{good}---\n{good}", "expected one PruningJob, found 2 documents"),
        ("kind: Deployment\n", "kind: expected 'PruningJob', found 'Deployment'"),
        ("{good}  tarket: 3\n", "spec.tarket: unknown field"),
        ("spec: [\n", "not valid YAML: line 2, column 1"),
    ],
    ids=["missing", "empty", "two documents", "another kind", "unknown field", "no YAML"],
)
def test_a_file_that_is_no_job(user: User, text: str | None, words: str) -> None:
    good = user.write("good").read_text()
    file = user.folder / "wrong.yaml"
    file.unlink(missing_ok=True)
    if text is not None:
        file.write_text(text.format(good=good) if text else "")
    refused(user.run(file), f"{file}: {words}")


def test_an_unknown_field_has_a_near_name(user: User) -> None:
    refused(user.run(user.write(changes={"pruning.tarket": {}})), "spec.pruning.tarket", "mean 'target'?")


def test_files_that_the_job_names_are_looked_at_first(user: User) -> None:
    file = user.write(changes={"model.weights": {"uri": "none.npz"}})
    refused(user.run(file), f"spec.model.weights.uri: cannot read {user.folder / 'none.npz'}: No such file")
    (user.folder / "some.npz").write_bytes(b"weights")
    digest = hashlib.sha256(b"weights").hexdigest()
    file = user.write(changes={"model.weights": {"uri": "some.npz", "sha256": "0" * 64}})
    refused(user.run(file), f"spec.model.weights.sha256: {user.folder / 'some.npz'} has {digest}")
    refused(user.run(user.write(), "--code", str(user.folder / "no-code")), "--code: cannot read")


# ---- the model and the data: found in the first seconds ----


@pytest.mark.parametrize(
    ("changes", "reason", "words"),
    [
        ({"model.factory": "tinny:Tiny"}, "CodeNotFound", "no module 'tinny'; did you mean tiny?"),
        ({"model.factory": "tiny:Tini"}, "CodeNotFound", "'tiny' has no 'Tini'; did you mean 'Tiny'"),
        ({"model.factory": "tiny:broken"}, "FactoryFailed", "KeyError: 'width' (tiny.py, line 41)"),
        ({"model.factory": "tiny:a_list"}, "FactoryFailed", "type list; it must return a paddle.nn.Layer"),
        ({"model.args": {"clases": 4}}, "FactoryFailed", "spec.model.args: tiny:Tiny: got an unexpected"),
        ({"data.args": {"images": 0}}, "DatasetInvalid", "tiny:splits: the train set is empty"),
        ({"data.args": {"broken_at": 7}}, "DatasetInvalid", "item 7 raised OSError: image 7 cannot be"),
        ({"data.args": {"label_shift": 1}}, "DatasetInvalid", "label 4 is out of range: the model has 4"),
        (
            {"evaluation.loss": "tiny:not_a_number"},
            "TrainingDiverged",
            "spec.evaluation.loss: tiny:not_a_num",
        ),
        (
            {"pruning.layers": [{"match": "secnod.*", "ratio": 0.5}]},
            "PatternMatchesNothing",
            "spec.pruning.layers[0].match: 'secnod.*' matches no layer; did you mean 'second'",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) and " " not in value else "",
)
def test_what_the_first_stage_refuses(user: User, changes: dict[str, Any], reason: str, words: str) -> None:
    # a seed of its own: nothing is found in the store, so the training would have to begin
    done = user.run(user.write("first", {"seed": 1, **changes}))
    failed(done, reason, words)
    assert done.status["message"].startswith("pretrain: spec.")


def test_the_log_has_the_traceback_of_the_users_code(user: User) -> None:
    done = user.run(user.write("first", {"model.factory": "tiny:broken"}))
    log = Path(done.status["message"].rpartition("(log: ")[2].removesuffix(")"))
    assert 'return nn.Linear(4, {}["width"])' in log.read_text()


def test_weights_with_a_payload_are_refused_and_not_run(user: User) -> None:
    witness = user.folder / "was-run"
    (user.folder / "evil.pdparams").write_bytes(pickle.dumps({"head.weight": _Payload(f"touch {witness}")}))
    changes = {"model.pretrain": None, "model.weights": {"uri": "evil.pdparams"}}
    failed(user.run(user.write("evil", changes)), "WeightsInvalid", "wants to run", "nothing is run")
    assert not witness.exists()


class _Payload:
    def __init__(self, command: str) -> None:
        self._command = command

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, (self._command,)


# ---- what preflight refuses, before anything is cut ----


@pytest.fixture(scope="module")
def finished(user: User) -> User:
    """The user, after a job that succeeded."""
    done = user.run(user.write())
    assert done.code == 0, done.err
    return user


def test_weights_of_other_shapes(finished: User) -> None:
    user = finished
    checkpoint = next((user.home / "store" / "units").glob("pretrain-*/*/checkpoint.safetensors"))
    shutil.copy(checkpoint, user.folder / "trained.safetensors")
    changes = {
        "model.pretrain": None,
        "model.weights": {"uri": "trained.safetensors"},
        "model.args": {"width": 24},
    }
    words = "second.0.weight is [16, 8, 3, 3], the model has [24, 8, 3, 3]"
    failed(user.run(user.write("shapes", changes)), "WeightsInvalid", words, "check spec.model.args")


@pytest.mark.parametrize(
    ("changes", "reason", "words"),
    [
        (
            {"model.factory": "tiny:OnlyLinear"},
            "NothingPrunable",
            "head: its channels are the model's output",
        ),
        (
            {"pruning.target": {"macs": "90%"}, "pruning.schedule.rounds": 10},
            "TargetUnreachable",
            "spec.pruning.target: 90% of the macs is asked for, at most",
        ),
        (
            {"model.args": {"product": True}},
            "ConversionUnsupported",
            "onnx: Paddle2ONNX cannot convert operator 'cumprod' (after layer head)",
        ),
    ],
    ids=["NothingPrunable", "TargetUnreachable", "ConversionUnsupported"],
)
def test_what_preflight_refuses(user: User, changes: dict[str, Any], reason: str, words: str) -> None:
    done = user.run(user.write("preflight", changes))
    failed(done, reason, words)
    early = reason == "ConversionUnsupported"  # the untrained network is converted before the training
    assert done.status["message"].startswith("pretrain: spec." if early else "preflight: spec.")
    assert [one["name"] for one in done.status["stages"]] == ([] if early else ["pretrain"])


def test_paddle_lite_without_its_python(user: User) -> None:
    done = user.run(user.write("lite", LITE), "--code", str(CODE), **{LITE_PYTHON_VARIABLE: "/no/python"})
    failed(done, "ToolchainMissing", f"{LITE_PYTHON_VARIABLE}=/no/python is no program", "ONNX conversion")


@pytest.mark.lite
def test_a_converter_that_aborts(user: User) -> None:
    from secateur_jobs.conversion.toolchain import lite_python

    program = user.folder / "python"
    program.write_text(
        f'#!/bin/sh\ncase "$3" in versions) exec "{lite_python()}" "$@";; esac\necho bad >&2; kill -ABRT $$\n'
    )
    program.chmod(0o755)
    done = user.run(user.write("lite", LITE), "--code", str(CODE), **{LITE_PYTHON_VARIABLE: str(program)})
    failed(done, "ConversionUnsupported", "preflight: spec.convert: paddle-lite/x86", "drop paddle-lite/x86")


# ---- later ----


def test_constraints_that_are_not_met_give_numbers_and_the_nearest_model(user: User) -> None:
    done = user.run(user.write("tiny", {"constraints": [{"metric": "macs", "max": "1k"}]}))
    assert done.code == 1
    status = done.status
    assert (status["phase"], done.ready["reason"]) == ("Failed", "ConstraintsNotMet")
    macs = status["rounds"][-1]["outcome"]["numbers"]["macs"]
    documented(status["message"])
    words = f"macs <= 1k: {macs / 1000:.2f} k, {macs / 1000 - 1:.2f} k over"
    assert status["message"].split("; ")[0] == words  # what follows says what was reused
    kept = {one["kind"]: Path(one["uri"].removeprefix("file://")) for one in status["artifacts"]}
    assert {"checkpoint", "model", "report", "card"} <= set(kept)
    assert all(path.stat().st_size for path in kept.values())


def test_a_truncated_checkpoint_is_named_and_made_again(finished: User) -> None:
    (path,) = (finished.home / "store" / "units").glob("preflight-*/*/checkpoint.safetensors")
    content = path.read_bytes()
    path.write_bytes(content[:1000])
    process = Watched(finished.start(finished.write("tiny", {"fineTune.epochs": 2})))
    said = process.until("preflight: done again")
    assert f"file://{path} has 1000 bytes" in said
    assert f"expected {len(content)} bytes" in said
    documented(said.partition("] preflight: ")[2].strip())
    process.until("round 1 done")
    assert process.interrupt().code == 130
    assert path.read_bytes() == content
    assert any("sensitivity done" in line and "found in the store" in line for line in process.lines)


def test_a_killed_stage_is_tried_again_and_whoever_comes_back_need_not_wait(user: User) -> None:
    file = user.write("killed", {"seed": 2})
    process = Watched(user.start(file))
    process.until("pretrain: ")
    subprocess.run(["pkill", "-KILL", "-P", str(process.process.pid)], check=True)
    said = process.until("Killed")
    assert "the process was killed by SIGKILL" in said
    assert "attempt 2 of 4 in " in said
    documented(said)
    assert process.interrupt().code == 130
    again = Watched(user.start(file))
    again.until("pretrain: ")
    assert "Retrying" not in "".join(again.lines)
    again.until("pretrain done")
    assert again.interrupt().code == 130


def test_two_runs_on_one_home(user: User) -> None:
    file = user.write("busy", {"seed": 3})
    first = Watched(user.start(file))
    first.until("pretrain starts")
    refused(user.run(file), f"in use by another run (process {first.process.pid})", "--home")
    assert first.interrupt().code == 130


# ---- the home ----


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 4 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_home_that_cannot_be_written(disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    user = User(disk.parent, disk / "home")
    refused(user.run(user.write()), f"cannot use {user.home} as home: Read-only file system", "--home")


def test_a_full_disk_is_waited_for_and_the_same_command_goes_on(disk: Path) -> None:
    user = User(disk.parent, disk / "home")
    file = user.write()
    full = Watched(user.start(file))
    full.until("pretrain done")
    ballast = _fill(disk)
    said = full.until("cannot write the status")
    documented(said)
    stopped = full.interrupt()
    assert (stopped.code, stopped.out) == (130, "")
    ballast.unlink()
    done = ended(user.start(file))
    assert done.code == 0, done.err
    assert "pretrain" not in done.err
    stages = done.status["stages"]
    assert (done.status["run"], stages[0]["attempt"], stages[0]["reused"]) == (1, 1, False)


def _fill(disk: Path) -> Path:
    """Write a file until the disk is full."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (2**16, 2**12, 1):
            try:
                while file.write(b"x" * size) == size:
                    pass
            except OSError:
                continue
    return ballast
