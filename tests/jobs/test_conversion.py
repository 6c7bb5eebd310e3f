"""Networks converted by the real converters are run and must be the same networks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from secateur_api.results import Artifact
from secateur_api.spec import Evaluation, InputSpec, PruningJobSpec
from secateur_api.stage import Stage
from secateur_jobs.conversion import program
from secateur_jobs.conversion.convert import convert_model, reference_outputs
from secateur_jobs.conversion.converted import manifest
from secateur_jobs.conversion.export import export
from secateur_jobs.conversion.patch import patched
from secateur_jobs.measure.accuracy import converted_tally
from secateur_jobs.paddle_env import paddle
from secateur_jobs.runtime.context import StageContext
from secateur_jobs.runtime.errors import InvalidInput
from secateur_jobs.runtime.store import Store
from secateur_jobs.training.batching import ArrayDataset
from secateur_jobs.training.evaluate import evaluate
from tests.jobs.nets import Calls, TwoInputs, after_conv
from tests.jobs.stages import digits_spec, stage_input

pytestmark = [pytest.mark.paddle, pytest.mark.lite]

nn = paddle.nn
F = paddle.nn.functional
X86 = {"format": "paddle-lite", "backend": "x86"}
ARM = {"format": "paddle-lite", "backend": "arm"}
ONNX = {"format": "onnx"}
IMAGE = [{"name": "image", "shape": [2, 3, 8, 8]}]


def convert(
    net: paddle.nn.Layer, folder: Path, *targets: dict[str, str], inputs: list[dict[str, Any]] = IMAGE
) -> tuple[list[Artifact], StageContext, PruningJobSpec]:
    """Convert with random inputs as samples; return the artifacts and what made them."""
    spec = digits_spec(convert=list(targets), benchmark=[])
    spec["model"]["inputs"] = inputs
    folder.mkdir(exist_ok=True)
    scratch = folder / "scratch"
    scratch.mkdir()
    request = stage_input(Stage.CONVERT, spec, folder / "store")
    context = StageContext(request=request, store=Store(request.store), unit="unit", scratch=scratch)
    generator = np.random.default_rng(0)
    samples = [
        [
            generator.standard_normal(i.shape).astype("float32")
            if i.dtype.value == "float32"
            else generator.integers(0, 50, i.shape).astype(i.dtype.value)
            for i in request.spec.model.inputs
        ]
        for _ in range(2)
    ]
    return convert_model(net, request.spec, "pruned", context, samples), context, request.spec


PATCHED: dict[str, Callable[[], paddle.nn.Layer]] = {
    "relu6": lambda: after_conv(nn.ReLU6()),
    "swish": lambda: after_conv(nn.Swish()),
    "silu": lambda: after_conv(nn.Silu()),
    "hardtanh": lambda: after_conv(nn.Hardtanh()),
    "flatten": lambda: after_conv(nn.Flatten(), nn.Linear(288, 5)),
    "scalar constant": lambda: after_conv(
        Calls(lambda x: x * (x > paddle.full([], 0.1)).astype("float32") + paddle.full([], 2.0))
    ),
    "InstanceNorm": lambda: after_conv(nn.InstanceNorm2D(8)),
    "InstanceNorm without weight": lambda: after_conv(
        nn.InstanceNorm2D(8, weight_attr=False, bias_attr=False)
    ),
    "LayerNorm without weight": lambda: after_conv(
        nn.LayerNorm([8, 6, 6], weight_attr=False, bias_attr=False)
    ),
}


@pytest.mark.parametrize("name", PATCHED)
def test_what_paddle_lite_cannot_read_is_mended(name: str, tmp_path: Path) -> None:
    artifacts, context, _ = convert(PATCHED[name](), tmp_path, X86, ARM)
    x86, arm = artifacts
    assert x86.parity is not None
    assert x86.parity.samples == 4
    assert 0 < x86.parity.max_rel < 1e-5 or name == "scalar constant"
    assert arm.parity is None, "what cannot be run here must not claim to be compared"
    for artifact in artifacts:
        assert len(context.store.read(artifact.path)) == artifact.bytes


def _reshapes(net: paddle.nn.Layer, folder: Path) -> tuple[int, int]:
    """Return how many reshapes the exported program has, and the one that Paddle Lite is given."""
    folder.mkdir()
    content = export(net, [InputSpec(name="image", shape=[2, 3, 8, 8])], folder).program.read_bytes()
    return tuple(
        [op.type for op in program.parse(one).blocks[0].ops].count("reshape2")
        for one in (content, patched(content))
    )


def test_a_bias_is_not_reshaped_in_each_run(tmp_path: Path) -> None:
    net = nn.Sequential(
        nn.Conv2D(3, 8, 3), nn.ReLU(), nn.Conv2DTranspose(8, 4, 2), nn.Conv2D(4, 4, 1, groups=4)
    )
    by_hand = after_conv(Calls(lambda x: x + x.mean([0, 2, 3]).reshape([1, 8, 1, 1])))
    assert _reshapes(net, tmp_path / "net") == (3, 0)
    assert _reshapes(by_hand, tmp_path / "by-hand") == (2, 1)
    for index, one in enumerate((net, by_hand)):
        (artifact,), _, _ = convert(one, tmp_path / str(index), X86)
        assert artifact.parity is not None
        assert artifact.parity.max_rel < 1e-5


def test_two_inputs_two_outputs_in_the_order_of_forward(tmp_path: Path) -> None:
    inputs = [
        {"name": "scale", "shape": [2, 7]},
        {"name": "tokens", "shape": [2, 7], "dtype": "int64"},
    ]
    artifacts, _, _ = convert(TwoInputs(), tmp_path, X86, ONNX, inputs=inputs)
    assert [a.parity is not None and a.parity.max_rel < 1e-5 for a in artifacts] == [True, True]


def test_a_dict_of_outputs_is_compared_in_one_order(tmp_path: Path) -> None:
    net = after_conv(Calls(lambda x: {"b": F.relu(x), "a": x.mean([2, 3])}))
    artifacts, _, _ = convert(net, tmp_path, X86, ONNX)
    assert all(a.parity is not None for a in artifacts)


@pytest.mark.parametrize(("target", "suffix"), [(X86, "paddle-lite-x86.nb"), (ONNX, "onnx.onnx")])
def test_the_named_output_is_judged_of_the_converted_model_too(
    target: dict[str, str], suffix: str, tmp_path: Path
) -> None:
    """Two heads of one shape, which ``forward`` returns in another order than the export has them."""
    paddle.seed(0)
    net = after_conv(nn.Flatten(), nn.Linear(288, 10))
    net = nn.Sequential(net, Calls(lambda y: {"one": y, "other": (-y, y.argmax(-1))}))
    _, context, spec = convert(net, tmp_path, target)
    images = np.random.default_rng(0).standard_normal((7, 3, 8, 8)).astype("float32")
    (reference,) = reference_outputs(net, [[images]])
    assert list(reference.tensors) == ["one", "other.0", "other.1"]
    model = next(context.scratch.rglob(f"*{suffix.rsplit('.', 1)[1]}"))
    data = ArrayDataset([images, reference.tensors["one"].argmax(-1)])
    for output, expected in (("one", 1.0), ("other.0", 0.0)):
        judged = Evaluation(output=output)
        scratch = tmp_path / output
        scratch.mkdir()
        tally = converted_tally(
            model, reference.structure, spec.model.inputs, judged, data, scratch, lambda share: None
        )
        assert tally.value() == expected == evaluate(net, data, judged)


class RaisesAtLast(paddle.nn.Layer):
    """Cannot be traced, which shows once its layers have been."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = paddle.nn.BatchNorm2D(1)

    def forward(self, x):
        raise RuntimeError(f"not today: {self.norm(x).shape}")


def test_a_network_that_could_not_be_traced_leaves_nothing_to_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Paddle tells programs apart by their place in memory; here all have the same
    monkeypatch.setattr(paddle.jit.dy2static.program_translator, "_program_hash", lambda program: 0)
    inputs = [InputSpec(name="image", shape=(1, 1, 8, 8))]
    with pytest.raises(InvalidInput, match="not today"):
        export(RaisesAtLast(), inputs, tmp_path)
    assert export(paddle.nn.Conv2D(1, 2, 3), inputs, tmp_path).params.stat().st_size > 0


def test_equal_networks_give_equal_files_that_name_no_folder(tmp_path: Path) -> None:
    def build() -> paddle.nn.Layer:
        paddle.seed(1)
        with paddle.utils.unique_name.guard():  # as build_model does
            return after_conv(nn.ReLU6())

    first, context, _ = convert(build(), tmp_path / "a", X86, ARM, ONNX)
    nn.Conv2D(1, 1, 1)(paddle.ones([1, 1, 1, 1]))  # what the process did in between must not show
    second, _, _ = convert(build(), tmp_path / "b", X86, ARM, ONNX)
    assert [a.sha256 for a in first] == [a.sha256 for a in second]
    for artifact in first:
        content = context.store.read(artifact.path)
        assert str(tmp_path).encode() not in content
        assert str(Path(__file__).parent).encode() not in content


@pytest.mark.parametrize("target", [X86, ARM])
def test_convolutions_around_a_narrow_width_stay_two(target: dict[str, str], tmp_path: Path) -> None:
    """Paddle Lite would make one of them, with ten times as many weights."""
    narrow = nn.Sequential(nn.Conv2D(3, 256, 1), nn.ReLU(), nn.Conv2D(256, 8, 1), nn.Conv2D(8, 256, 1))
    ((artifact,), *_) = convert(narrow, tmp_path, target)
    assert artifact.bytes < 4 * (256 * 8 + 8 * 256) + 20_000 < 4 * 256 * 256


def test_the_manifest_names_files_tools_and_options(tmp_path: Path) -> None:
    artifacts, _, spec = convert(after_conv(nn.ReLU()), tmp_path, X86, ONNX)
    found = manifest(spec, artifacts, ["0", None])
    assert (found.artifacts, found.outputs) == (artifacts, ["0", None])
    assert found.toolchain["lite-paddlelite"] == "2.13rc0"
    assert found.toolchain["paddle2onnx"]
    assert set(found.options) == {"paddle-lite/x86", "onnx"}


def test_the_network_is_left_in_the_mode_it_was_in(tmp_path: Path) -> None:
    net = after_conv(nn.BatchNorm2D(8), nn.Dropout(0.5))
    net.train()
    net[1].eval()
    convert(net, tmp_path, X86)
    assert [layer.training for layer in net.sublayers(include_self=True)] == [True, True, False, True]
