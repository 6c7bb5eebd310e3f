"""What users prune is nobody else's business: onnxruntime is told to send nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from secateur_api.spec import InputSpec
from secateur_jobs.conversion.converted import ConvertedModel


def test_a_model_runs_without_the_files_of_onnxruntimes_telemetry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, scratch = tmp_path / "home", tmp_path / "scratch"
    home.mkdir()
    scratch.mkdir()
    monkeypatch.setenv("HOME", str(home))
    for name in ("CI", "ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Neg", ["x"], ["y"])], "g", value[:1], value[1:])
    opset = [helper.make_opsetid("", 13)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), tmp_path / "m.onnx")

    with ConvertedModel(tmp_path / "m.onnx", [InputSpec(name="x", shape=[1])], scratch) as model:
        (output,) = model.run((np.array([2.0], np.float32),))

    assert output.tolist() == [-2.0]
    assert [path for path in home.rglob("*") if path.is_file()] == []
    assert not (scratch / ".ses").exists()
