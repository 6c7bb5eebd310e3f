"""User code that does odd things to its process: it works, or is refused by name; no stage hangs on it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from secateur_api.code_digest import code_sha256
from secateur_api.stage import ExitCode, Stage
from tests.jobs.stages import Ended, digits_spec, run, stage_input

pytestmark = [pytest.mark.paddle, pytest.mark.timeout(120)]

_TOP = """
import os, subprocess, sys, threading, time
import numpy as np
import paddle
from paddle import nn
{odd}
class Net(nn.Layer):
    def __init__(self):
        super().__init__()
        self.conv, self.fc = nn.Conv2D(1, 4, 3), nn.Linear(4, 3)
    def forward(self, x):
        return self.fc(self.conv(x).mean([2, 3]))
class Pictures(paddle.io.Dataset):
    def __len__(self): return 12
    def __getitem__(self, i): return np.full((1, 6, 6), i, "float32"), np.int64(i % 3)
def net(): return Net()
def splits(): return Pictures(), Pictures()
"""


def _pretrain(tmp_path: Path, odd: str, factory: str = "net", **changes: Any) -> Ended:
    code = tmp_path / "code"
    code.mkdir()
    (code / "mine.py").write_text(_TOP.format(odd=odd))
    spec = digits_spec(
        model={
            "factory": f"mine:{factory}",
            "pretrain": {"epochs": 1},
            "inputs": [{"name": "image", "shape": [1, 1, 6, 6]}],
        },
        data={"factory": "mine:splits"},
        convert=[{"format": "onnx"}],
        benchmark=[],
        code={"uri": str(code), "sha256": code_sha256(code)},
        **changes,
    )
    return run("pretrain", stage_input(Stage.PRETRAIN, spec, tmp_path / "store"), tmp_path)


@pytest.mark.parametrize(
    "odd",
    [
        "threading.Thread(target=time.sleep, args=(300,)).start()",
        "import atexit; atexit.register(time.sleep, 300)",
        "paddle.enable_static()",
        "os.chdir('/')",
        "paddle.set_default_dtype('float64')",
        "paddle.set_grad_enabled(False)",
        "sys.stdout.close()",
        "print('x' * 100_000, end='')",
    ],
    ids=[
        "thread",
        "exit handler",
        "static mode",
        "another folder",
        "float64",
        "no gradient",
        "closed stdout",
        "no line",
    ],
)
def test_what_works(tmp_path: Path, odd: str) -> None:
    done = _pretrain(tmp_path, odd)
    assert done.code == ExitCode.DONE, done.stderr
    assert done.said.ok


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("paddle.enable_static(); return Net()", "paddle.enable_static(); networks"),
        ("paddle.set_default_dtype('float64'); return Net()", "is float64; build"),
        ("sys.exit(3)", "raised SystemExit: 3 (mine.py, line"),
        ("raise KeyboardInterrupt", "raised KeyboardInterrupt (mine.py, line"),
        ("return other()", "raised RecursionError"),
        ("return quantised(Net())", "made for quantisation; prune the network first"),
        ("return exported(Net())", "paddle.jit.load"),
        ("raise Stop('enough')", "Stop: enough"),
    ],
    ids=["static", "float64", "exit", "interrupt", "recursion", "quantised", "exported", "odd exception"],
)
def test_what_is_refused_by_name(tmp_path: Path, body: str, words: str) -> None:
    helpers = f"""
class Stop(BaseException): pass
def quantised(net):
    from paddle.quantization import QAT, QuantConfig
    from paddle.quantization.quanters import FakeQuanterWithAbsMaxObserver
    quanter = FakeQuanterWithAbsMaxObserver(moving_rate=0.9)
    return QAT(QuantConfig(activation=quanter, weight=quanter)).quantize(net)
def exported(net):
    paddle.jit.save(net, "{tmp_path}/exported/net", [paddle.static.InputSpec([1, 1, 6, 6], "float32")])
    return paddle.jit.load("{tmp_path}/exported/net")
"""
    done = _pretrain(tmp_path, f"{helpers}def other(): {body}\n", "other")
    assert done.code == ExitCode.INVALID_INPUT, done.stderr
    assert words in done.said.message
    assert done.said.reason == "FactoryFailed"
