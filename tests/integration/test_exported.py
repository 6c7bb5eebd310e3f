"""A model that is only there as exported files goes through a whole job."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper, parser

from secateur_jobs.paddle_env import paddle
from tests.integration.real import CODE, User
from tests.integration.user_code.tiny import Tiny

pytestmark = [pytest.mark.paddle, pytest.mark.slow, pytest.mark.timeout(200)]
COMMAND = str(Path(sys.executable).with_name("secateur"))


def export(folder: Path, seed: int) -> Path:
    """Write an exported model as a user of Paddle does: in the form that this Paddle writes now."""
    paddle.seed(seed)
    return written(Tiny(), folder)


def written(net: paddle.nn.Layer, folder: Path) -> Path:
    """Write what takes digits of 8 x 8 pixels, and return the program's file."""
    net.eval()
    spec = paddle.static.InputSpec([None, 1, 8, 8], "float32", "image")
    with paddle.utils.unique_name.guard():
        paddle.jit.save(net, str(folder / "inference"), input_spec=[spec])
    return next(folder / f"inference.{form}" for form in ("json", "pdmodel") if _is_there(folder, form))


def _is_there(folder: Path, form: str) -> bool:
    return (folder / f"inference.{form}").exists()


def test_exported_files_are_pruned_converted_and_followed(tmp_path: Path) -> None:
    user = User(tmp_path, tmp_path / "home")
    changes = {
        "model.factory": None,
        "model.exported": {"uri": export(tmp_path, 1).name},
        "model.pretrain": None,
        "pruning.schedule.floor": "100%",
    }
    file = user.write("exported", changes)
    done = user.run(file)
    assert done.code == 0, done.err
    first = done.status["stages"]
    assert [one["name"] for one in first] == ["preflight", "sensitivity", "round", "convert", "report"]
    assert done.status["rounds"][-1]["outcome"]["cutMacs"] >= 0.3
    again = user.run(file).status["stages"]
    assert all(one.get("reused") for one in again)
    export(tmp_path, 2)  # other weights in the same files
    words = [COMMAND, "plan", str(file), "--home", str(user.home), "--code", str(CODE), "-o", "json"]
    plan = json.loads(subprocess.run(words, check=True, capture_output=True).stdout)["stages"]
    assert {one["state"] for one in plan} == {"toDo", "open"}


def test_an_onnx_file_is_pruned_and_converted(tmp_path: Path) -> None:
    """The model was never Paddle's."""
    random = np.random.default_rng(0)
    arrays = {
        "w": random.standard_normal([8, 1, 3, 3]) / 3,
        "b": random.standard_normal([8]),
        "v": random.standard_normal([16, 8, 3, 3]) / 9,
        "u": random.standard_normal([16, 16, 3, 3]) / 12,
        "head": random.standard_normal([4, 16]) / 4,
        "shift": random.standard_normal([4]),
    }
    body = """a = Conv<pads = [1, 1, 1, 1]>(image, w, b) r = Relu(a) c = Conv<pads = [1, 1, 1, 1]>(r, v)
        d = Relu(c) e = Conv<pads = [1, 1, 1, 1]>(d, u) g = GlobalAveragePool(e)
        f = Flatten(g) y = Gemm<transB = 1>(f, head, shift)"""
    signature = "(float[n,1,8,8] image) => (float[n,4] y)"
    model = parser.parse_model(f'<ir_version: 7, opset_import: ["" : 13]> net {signature} {{ {body} }}')
    model.graph.initializer.extend(
        numpy_helper.from_array(array.astype("float32"), name) for name, array in arrays.items()
    )
    onnx.save(model, tmp_path / "net.onnx")
    user = User(tmp_path, tmp_path / "home")
    changes = {
        "model.factory": "secateur_jobs.graph.model:exported",
        "model.args": {"file": str(tmp_path / "net.onnx"), "shapes": [[1, 1, 8, 8]]},
        "model.pretrain": None,
        "model.trained": True,
        "pruning.schedule.floor": "100%",
    }
    done = user.run(user.write("onnx", changes))
    assert done.code == 0, done.err
    assert done.status["rounds"][-1]["outcome"]["cutMacs"] >= 0.3
