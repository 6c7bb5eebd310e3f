"""Child processes that answer, crash, hang and are killed; real ones."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest

from secateur_api.conditions import Reason
from secateur_jobs.conversion import toolchain
from secateur_jobs.runtime.child import Child, ChildDied
from secateur_jobs.runtime.errors import Retryable

ECHO = """
import os, sys
sys.path.insert(0, sys.argv[1])
from secateur_lite.wire import Wire
with Wire(sys.stdin.buffer, os.fdopen(os.dup(1), "wb")) as wire:
    while (arrays := wire.receive_arrays()) is not None:
        wire.send_arrays(arrays)
    wire.say({"end": True})
"""


def child(code: str, *arguments: str, limit: float = 30.0) -> Child:
    return Child([sys.executable, "-S", "-c", code, *arguments], {"PATH": os.environ["PATH"]}, limit)


def test_arrays_cross_in_both_directions_as_they_are(tmp_path: Path) -> None:
    sent = {
        "image": np.arange(2 * 3 * 40000, dtype="float32").reshape(2, 3, -1),  # more than a pipe holds
        "tokens": np.array([[1, -2]], "int64"),
        "scalar": np.array(2.5, "float32"),
        "none": np.zeros((0, 4), "int32"),
    }
    env = toolchain.environment(tmp_path)
    with Child([sys.executable, "-c", ECHO, str(tmp_path / "lite-home")], env, 30.0) as echo:
        for _ in range(2):
            echo.send_arrays(sent)
            found = echo.receive_arrays()
            assert list(found) == list(sent)
            for name, array in sent.items():
                assert found[name].dtype == array.dtype
                assert np.array_equal(found[name], array)
                assert found[name].shape == array.shape


def test_what_a_crashed_child_said_last_is_kept() -> None:
    with child("raise SystemExit('model.nb has 3 bytes')") as crashed, pytest.raises(ChildDied) as caught:
        crashed.receive_json()
    assert caught.value.last_line == "model.nb has 3 bytes"
    assert caught.value.how == "ended with exit code 1"
    caught.value.raise_if_fault("the conversion")  # not a fault: it said why


def test_a_killed_child_is_a_passing_fault() -> None:
    code = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    with child(code) as killed, pytest.raises(ChildDied) as caught:
        killed.receive_json()
    with pytest.raises(Retryable, match="the conversion was ended by SIGKILL") as fault:
        caught.value.raise_if_fault("the conversion")
    assert fault.value.reason is Reason.KILLED


def test_a_child_that_hangs_is_stopped_with_its_children(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    code = (
        "import subprocess, sys; p = subprocess.Popen(['sleep', '600']); "
        "open(sys.argv[1], 'w').write(str(p.pid)); p.wait()"
    )
    with (
        child(code, str(pid_file), limit=1.0) as hanging,
        pytest.raises(ChildDied, match="took longer than 1 s"),
    ):
        hanging.receive_json()
    with contextlib.suppress(psutil.NoSuchProcess):
        grandchild = psutil.Process(int(pid_file.read_text()))
        assert grandchild.status() == psutil.STATUS_ZOMBIE or grandchild.wait(timeout=5) is None


def test_leaving_the_block_ends_the_child() -> None:
    with child("import sys; sys.stdin.read()") as waiting:
        pid = waiting.pid
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_child_that_reads_nothing_more_is_noticed_when_sending() -> None:
    big = {"image": np.zeros(10**6, "float32")}
    with child("raise SystemExit('no room')") as gone, pytest.raises(ChildDied, match="exit code 1"):
        gone.send_arrays(big)
