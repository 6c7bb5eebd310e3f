"""What goes wrong in a conversion: a crash, a kill, a full disk, a missing tool, a wrong model."""

from __future__ import annotations

import signal
from pathlib import Path

import numpy as np
import pytest

from secateur_api.conditions import Reason
from secateur_api.spec import InputSpec
from secateur_api.stage import LITE_PYTHON_VARIABLE
from secateur_jobs.conversion import to_lite, toolchain
from secateur_jobs.conversion.batches import first_batches, fit
from secateur_jobs.conversion.converted import ConvertedModel
from secateur_jobs.conversion.export import export
from secateur_jobs.measure.latency import compare, peak_memory
from secateur_jobs.paddle_env import paddle
from secateur_jobs.runtime.errors import InvalidInput, Retryable, StageError
from secateur_jobs.training.batching import ArrayDataset
from tests.jobs.nets import Calls, TwoInputs, after_conv, with_cumprod
from tests.jobs.test_conversion import ARM, IMAGE, ONNX, X86, convert

pytestmark = [pytest.mark.paddle, pytest.mark.lite]

nn = paddle.nn
INPUT = InputSpec(name="image", shape=[2, 3, 8, 8])


def refused(
    error: type[StageError], reason: Reason, net: nn.Layer, folder: Path, target: dict[str, str]
) -> str:
    """Convert, expect this failure, and return its message, which must be one readable line."""
    with pytest.raises(error) as caught:
        convert(net, folder, target)
    assert caught.value.reason is reason, caught.value.message
    assert "\n" not in caught.value.message
    assert len(caught.value.message) < 400
    return caught.value.message


@pytest.mark.parametrize("target", [X86, ARM, ONNX], ids=["x86", "arm", "onnx"])
def test_an_operator_that_cannot_be_converted_is_named(target: dict[str, str], tmp_path: Path) -> None:
    message = refused(InvalidInput, Reason.CONVERSION_UNSUPPORTED, with_cumprod(), tmp_path, target)
    assert "operator 'cumprod' (after layer 0)" in message
    assert "spec.convert" in message


def test_an_operator_is_found_even_if_the_converter_only_crashes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(to_lite, "patched", bytes)  # InstanceNorm then ends opt by SIGABRT without a name
    net = after_conv(nn.ReLU(), nn.InstanceNorm2D(8), nn.ReLU(), nn.MaxPool2D(2))
    message = refused(InvalidInput, Reason.CONVERSION_UNSUPPORTED, net, tmp_path, X86)
    assert "operator 'instance_norm' (in layer 2)" in message


def test_the_layer_at_fault_is_named_not_the_first_of_its_kind(tmp_path: Path) -> None:
    net = after_conv(nn.ReLU(), nn.Conv2D(8, 8, 3, padding="SAME", dilation=2))
    message = refused(InvalidInput, Reason.CONVERSION_UNSUPPORTED, net, tmp_path, ONNX)
    assert "operator 'conv2d' (in layer 2)" in message
    assert "dilations [2, 2], padding_algorithm SAME" in message


def lite_python_that(script: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a program in the place of the Paddle Lite interpreter, which still tells its versions."""
    real = toolchain.lite_python()
    program = folder / "python"
    program.write_text(f'#!/bin/sh\ncase "$3" in versions) exec "{real}" "$@";; *) {script};; esac\n')
    program.chmod(0o755)
    monkeypatch.setenv(LITE_PYTHON_VARIABLE, str(program))


def test_a_killed_converter_is_worth_another_try(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lite_python_that("kill -9 $$", tmp_path, monkeypatch)
    message = refused(Retryable, Reason.KILLED, after_conv(nn.ReLU()), tmp_path, X86)
    assert signal.SIGKILL.name in message


def test_a_converter_that_hangs_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lite_python_that("exec sleep 600", tmp_path, monkeypatch)
    monkeypatch.setattr(to_lite, "LIMIT_SECONDS", 0.5)
    message = refused(Retryable, Reason.KILLED, after_conv(nn.ReLU()), tmp_path, X86)
    assert "took longer than" in message


@pytest.fixture
def x86_model(tmp_path: Path) -> Path:
    artifacts, context, _ = convert(after_conv(nn.Flatten(), nn.Linear(288, 5)), tmp_path / "good", X86)
    path = tmp_path / "model.nb"
    path.write_bytes(context.store.read(artifacts[0].path))
    return path


@pytest.mark.parametrize("kept", [0, 100, 3000])
def test_a_truncated_model_is_refused_by_every_use(x86_model: Path, kept: int, tmp_path: Path) -> None:
    x86_model.write_bytes(x86_model.read_bytes()[:kept])
    batch = [np.ones(INPUT.shape, "float32")]
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with pytest.raises(InvalidInput, match=r"model\.nb was converted, but cannot be run"):
        peak_memory(x86_model, [INPUT], batch, scratch)
    with (
        pytest.raises(InvalidInput, match="cannot be run"),
        ConvertedModel(x86_model, [INPUT], scratch) as model,
    ):
        model.run(batch)
    with pytest.raises(InvalidInput, match="cannot be run"):
        compare(
            x86_model, x86_model, [INPUT], batch, warmup=1, runs=2, scratch=scratch, report=lambda _: None
        )


def test_a_truncated_onnx_model_is_refused(tmp_path: Path) -> None:
    artifacts, context, _ = convert(after_conv(nn.ReLU()), tmp_path / "good", ONNX)
    path = tmp_path / "model.onnx"
    path.write_bytes(context.store.read(artifacts[0].path)[:300])
    with pytest.raises(InvalidInput, match=r"model\.onnx was converted, but cannot be run"):
        peak_memory(path, [INPUT], [np.ones(INPUT.shape, "float32")], tmp_path)


def test_a_converted_model_with_other_weights_misses_parity(
    x86_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(to_lite, "convert", lambda *_: x86_model)
    message = refused(
        InvalidInput, Reason.PARITY_MISSED, after_conv(nn.Flatten(), nn.Linear(288, 5)), tmp_path, X86
    )
    assert "the pruned model as paddle-lite/x86: output 0 differs" in message


def test_a_model_that_gives_nan_is_refused(tmp_path: Path) -> None:
    net = after_conv(Calls(lambda x: (x - 1000.0).log()))
    message = refused(InvalidInput, Reason.PARITY_MISSED, net, tmp_path, X86)
    assert "Paddle's own output 0 is not finite" in message


def test_the_same_output_twice_is_refused(tmp_path: Path) -> None:
    net = after_conv(Calls(lambda x: (x, x)))
    message = refused(InvalidInput, Reason.PARITY_MISSED, net, tmp_path, X86)
    assert "has 1 outputs, Paddle's model 2" in message


def test_a_forward_that_cannot_be_exported_is_explained(tmp_path: Path) -> None:
    def untraceable(x: paddle.Tensor) -> paddle.Tensor:
        return x * float(x.numpy().max())

    message = refused(
        InvalidInput, Reason.CONVERSION_UNSUPPORTED, after_conv(Calls(untraceable)), tmp_path, X86
    )
    assert "spec.model: Paddle cannot export the model" in message


def test_an_input_that_nothing_reads_is_named(tmp_path: Path) -> None:
    net = Calls(lambda image, unused: image + 1.0)
    with pytest.raises(InvalidInput, match=r"spec\.model\.inputs: .*do not depend on 'mask'"):
        convert(net, tmp_path, X86, inputs=[*IMAGE, {"name": "mask", "shape": [2, 3]}])


def test_parameters_cut_short_by_a_full_disk_are_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = paddle.jit.save

    def save_on_a_full_disk(net: paddle.nn.Layer, path: str, **options: object) -> None:
        save(net, path, **options)
        content = Path(f"{path}.pdiparams").read_bytes()
        Path(f"{path}.pdiparams").write_bytes(content[: len(content) // 2])  # Paddle itself reports nothing

    monkeypatch.setattr(paddle.jit, "save", save_on_a_full_disk)
    with pytest.raises(OSError, match="No space left on device"):
        export(after_conv(nn.ReLU()), [INPUT], tmp_path)


def test_items_of_another_shape_than_declared_are_refused() -> None:
    dataset = ArrayDataset((np.zeros((5, 1, 8, 8), "float32"), np.zeros(5, "int64")))
    with pytest.raises(InvalidInput, match=r"declared shapes are \[\[2, 3, 8, 8\]\].*\[\[2, 1, 8, 8\]\]"):
        first_batches(dataset, [INPUT])


def test_batches_take_the_declared_element_type() -> None:
    found = fit([np.ones((2, 7), "float64"), np.ones((2, 7), "int32")], _two_inputs())
    assert [a.dtype.name for a in found] == ["float32", "int64"]
    assert TwoInputs()(*(paddle.to_tensor(a) for a in found))[0].shape == [2, 4]


def _two_inputs() -> list[InputSpec]:
    return [InputSpec(name="scale", shape=[2, 7]), InputSpec(name="tokens", shape=[2, 7], dtype="int64")]
