"""Weights of Paddle Lite models in fewer bits: what becomes of the outputs, the file, and what cannot be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from secateur_api.conditions import Reason
from secateur_api.results import LatencySamples
from secateur_api.spec import (
    Activations,
    AnswerForm,
    Backend,
    Convert,
    Evaluation,
    Format,
    Goal,
    InputSpec,
    PruningJobSpec,
    Quantize,
)
from secateur_jobs.conversion import to_lite, to_onnx
from secateur_jobs.conversion.batches import first_batches
from secateur_jobs.conversion.convert import reference_outputs
from secateur_jobs.conversion.converted import ConvertedModel
from secateur_jobs.conversion.export import Exported, export
from secateur_jobs.paddle_env import paddle
from secateur_jobs.precision import comparison, lite_weights
from secateur_jobs.precision import onnx as precision_onnx
from secateur_jobs.precision import onnx_model as precision_onnx_model
from secateur_jobs.precision.comparison import Answers
from secateur_jobs.precision.cost import costs_of
from secateur_jobs.precision.lite import X86, LitePrecision
from secateur_jobs.precision.lite_model import LiteModel
from secateur_jobs.precision.lite_weights import Weight
from secateur_jobs.precision.narrowed import Bench
from secateur_jobs.precision.onnx import OnnxPrecision
from secateur_jobs.precision.onnx_model import OnnxModel
from secateur_jobs.runtime.errors import InvalidInput
from secateur_jobs.training.answers import answered
from secateur_jobs.training.batching import ArrayDataset
from secateur_jobs.training.held import Parts
from secateur_jobs.user_code import load_data
from secateur_jobs.zoo.digits import residual_net
from secateur_jobs.zoo.ernie import ernie_classifier
from tests.jobs.nets import Calls, after_conv
from tests.jobs.stages import digits_spec

pytestmark = [pytest.mark.paddle, pytest.mark.lite]

nn = paddle.nn
IMAGE = [InputSpec(name="image", shape=[2, 3, 8, 8])]
TOKENS = [InputSpec.model_validate({"name": "ids", "shape": [2, 7], "dtype": "int64"})]
ARM = Convert(format=Format.PADDLE_LITE, backend=Backend.ARM)


class Twice(nn.Layer):
    """One weight, two operators."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.shared = nn.Linear(8, 16), nn.Linear(16, 16)

    def forward(self, x: Any) -> Any:
        return self.shared(paddle.tanh(self.shared(self.stem(x))))


def images() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((2, 3, 8, 8)).astype("float32")


def tokens() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 300, (2, 7))


def model_of(
    net: paddle.nn.Layer, folder: Path, inputs: list[InputSpec] = IMAGE, target: Convert = X86
) -> tuple[LiteModel, Path]:
    """Return the model and its file with 32-bit weights."""
    folder.mkdir(exist_ok=True)
    exported = export(net, inputs, folder)
    floats = to_lite.convert(exported, target, folder)
    return LiteModel(exported, target, floats.read_bytes(), folder / "other"), floats


def outputs(file: Path, batch: np.ndarray, inputs: list[InputSpec], scratch: Path) -> np.ndarray:
    with ConvertedModel(file, inputs, scratch) as converted:
        return converted.run([batch])[0]


def apart(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one - other).max() / np.abs(one).max())


NETS: dict[str, tuple[Callable[[], paddle.nn.Layer], list[InputSpec], Callable[[], np.ndarray]]] = {
    "depthwise, BatchNorm and Linear": (
        lambda: after_conv(
            nn.Conv2D(8, 8, 3, groups=8, padding=1),
            nn.BatchNorm2D(8),
            nn.Hardswish(),
            nn.Conv2D(8, 64, 1),
            nn.Flatten(),
            nn.Linear(64 * 36, 40),
            nn.ReLU(),
            nn.Linear(40, 5, bias_attr=False),
        ),
        IMAGE,
        images,
    ),
    "embedding and encoder": (
        lambda: nn.Sequential(
            nn.Embedding(300, 64),
            nn.TransformerEncoder(nn.TransformerEncoderLayer(64, 4, 128, dropout=0.0), 1),
            nn.Linear(64, 5),
        ),
        TOKENS,
        tokens,
    ),
}


@pytest.mark.parametrize("name", NETS)
def test_all_weights_are_narrowed_and_the_outputs_stay_near(name: str, tmp_path: Path) -> None:
    build, inputs, batch = NETS[name]
    paddle.seed(3)
    model, floats = model_of(build(), tmp_path, inputs)
    assert [weight.kept for weight in model.weights] == [""] * len(model.weights)
    before, size = outputs(floats, batch(), inputs, tmp_path), floats.stat().st_size
    for bits, allowed, saved in ((16, 1e-3, 0.35), (8, 5e-2, 0.5)):
        file = model.write(dict.fromkeys(model.free, bits))
        assert 0 < apart(before, outputs(file, batch(), inputs, tmp_path)) < allowed
        assert file.stat().st_size < (1 - saved) * size


def test_each_weight_has_bits_of_its_own(tmp_path: Path) -> None:
    build, inputs, batch = NETS["depthwise, BatchNorm and Linear"]
    paddle.seed(3)
    model, floats = model_of(build(), tmp_path, inputs)
    before = outputs(floats, batch(), inputs, tmp_path)
    sizes, distances = [], []
    for bits in ({}, dict.fromkeys(model.free[:2], 8), {model.free[0]: 8, model.free[-2]: 16}):
        file = model.write(bits)
        sizes.append(file.stat().st_size)
        distances.append(apart(before, outputs(file, batch(), inputs, tmp_path)))
    assert sizes[0] == floats.stat().st_size
    assert distances[0] == 0
    assert all(0 < one < 5e-2 for one in distances[1:])
    assert sizes[2] < sizes[1] < sizes[0]


def test_arm_gets_the_same_bits(tmp_path: Path) -> None:
    build, inputs, _ = NETS["depthwise, BatchNorm and Linear"]
    model, floats = model_of(build(), tmp_path, inputs, ARM)
    assert model.free
    assert model.write(dict.fromkeys(model.free, 8)).stat().st_size < 0.5 * floats.stat().st_size


def test_what_paddle_lite_restores_wrongly_or_not_at_all_stays(tmp_path: Path) -> None:
    model, _ = model_of(Twice(), tmp_path / "twice", [InputSpec(name="x", shape=[2, 8])])
    assert sorted(weight.kept for weight in model.weights) == [
        "",
        "2 operators share it, and Paddle Lite would restore it for each",
    ]
    lstm = nn.Sequential(nn.LSTM(8, 16), Calls(lambda pair: pair[0]), nn.Linear(16, 4))
    model, _ = model_of(lstm, tmp_path / "lstm", [InputSpec(name="x", shape=[2, 5, 8])])
    assert {weight.kept for weight in model.weights} == {"", "Paddle Lite restores no weight of rnn"}
    assert len(model.free) == 1


def test_an_outlier_a_channel_of_zeros_and_a_layer_of_one_weight(tmp_path: Path) -> None:
    paddle.seed(3)
    net = after_conv(nn.Conv2D(8, 4, 1), nn.Conv2D(4, 1, 1, bias_attr=False), nn.Conv2D(1, 1, 1))
    weight = net[1].weight.numpy()
    weight[0, 0], weight[1] = 1e6, 0
    net[1].weight.set_value(weight)
    model, floats = model_of(net, tmp_path)
    file = model.write(dict.fromkeys(model.free, 16))
    one, other = (outputs(each, images(), IMAGE, tmp_path) for each in (floats, file))
    assert np.isfinite(other).all()
    assert apart(one, other) < 1e-3


@pytest.mark.parametrize("shape", [(5, 3, 2, 2), (6, 4)])
@pytest.mark.parametrize("bits", [8, 16])
def test_a_stored_weight_is_off_by_half_a_step_at_most(shape: tuple[int, ...], bits: int) -> None:
    array = np.random.default_rng(0).standard_normal(shape).astype("float32")
    axis = 0 if len(shape) == 4 else 1
    _, scale = lite_weights.stored(array, bits, axis)
    assert scale.shape == (shape[axis],)
    off = np.abs(lite_weights.restored(array, bits, axis) - array)
    step = scale.reshape([-1 if one == axis else 1 for one in range(len(shape))])
    assert (off <= 0.5001 * step).all()


# ---- decided by what the runtime answers ----


def agreeing(net: paddle.nn.Layer) -> tuple[Answers, Parts]:
    """Return how a net is judged by agreement with itself, and digits without labels."""
    spec = PruningJobSpec.model_validate(digits_spec())
    inputs = spec.model.inputs
    evaluation = Evaluation.model_validate({"metric": "agreement", "form": "classes"})
    data = answered(load_data(spec.data, 1, has_labels=False), net, evaluation)
    structure = reference_outputs(net, [[data.eval[0][0][None]]])[0].structure
    answers = Answers(inputs, structure, evaluation, AnswerForm.CLASSES)
    parts = Parts(data.train, None, data.eval)
    return answers, parts


def decided(net: paddle.nn.Layer, folder: Path, **asked: str) -> tuple[LitePrecision, Path, Exported]:
    """Decide for a net that is judged by agreement with itself on digits."""
    folder.mkdir(exist_ok=True)
    answers, parts = agreeing(net)
    exported = export(net, answers.inputs, folder)
    floats = to_lite.convert(exported, X86, folder)
    model = LiteModel(exported, X86, floats.read_bytes(), folder / "decide")
    bench = Bench(floats, model.write, answers, parts, folder, lambda step: None)
    made = LitePrecision(
        Quantize.model_validate(asked),
        exported,
        model,
        bench,
        lambda weights: costs_of(net, weights, parts.eval, answers.evaluation),
    )
    return made, floats, exported


def digits_net() -> paddle.nn.Layer:
    """Return a net whose answers differ from picture to picture."""
    paddle.seed(3)
    net = residual_net(width=8)
    pictures = load_data(PruningJobSpec.model_validate(digits_spec()).data, 1).train.arrays[0]
    for start in range(0, 320, 32):  # settles BatchNorm
        net(paddle.to_tensor(pictures[start : start + 32]))
    net.eval()
    return net


def test_a_model_is_narrowed_as_far_as_its_answers_bear_it(tmp_path: Path) -> None:
    made, floats, _ = decided(digits_net(), tmp_path, maxDrop="5%")
    found = made.narrow(X86, floats.read_bytes(), tmp_path / "x86")
    assert len(found.content) < 0.65 * floats.stat().st_size
    assert found.change is not None
    assert found.change.drop <= 0.05
    assert {weight.bits for weight in found.weights} <= {8, 16}
    assert all(weight.why for weight in found.weights if weight.bits > 8)


@pytest.mark.parametrize("factor", [1.5, float("nan")])
def test_weights_that_come_back_wrong_are_never_shipped(
    factor: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = lite_weights.stored

    def stored(array: np.ndarray, bits: int, axis: int) -> tuple[np.ndarray, np.ndarray]:
        whole, scale = right(array, bits, axis)
        return whole, scale * np.where(np.arange(len(scale)) % 2, factor, 1).astype("float32")

    monkeypatch.setattr(lite_weights, "stored", stored)
    made, floats, _ = decided(digits_net(), tmp_path / "auto")
    found = made.narrow(X86, floats.read_bytes(), tmp_path / "x86")
    assert found.content == floats.read_bytes()
    assert found.change is None
    assert "16 bits for all change too much" in found.note
    for asked in ("int8", "int16"):
        with pytest.raises(InvalidInput, match="The costliest layers are ") as error:
            decided(digits_net(), tmp_path / asked, weights=asked)
        assert error.value.reason is Reason.PRECISION_MISSED
        assert "bits for all change too much" in error.value.message


def test_a_file_that_is_not_convert_s_is_not_narrowed(tmp_path: Path) -> None:
    exported = export(digits_net(), [InputSpec(name="image", shape=[1, 1, 16, 16])], tmp_path)
    floats = to_lite.convert(exported, X86, tmp_path).read_bytes()
    assert LiteModel(exported, X86, floats, tmp_path / "same").is_rewritable
    other = LiteModel(exported, X86, floats[:-1] + bytes([floats[-1] ^ 1]), tmp_path / "other")
    assert not other.is_rewritable
    assert other.free == []


def test_a_program_that_passes_change_when_they_run_again_ships_as_it_is(tmp_path: Path) -> None:
    """Of this encoder Paddle Lite's second run of its passes for arm finds no kernel."""
    inputs = [InputSpec.model_validate({"name": "ids", "shape": [1, 32], "dtype": "int64"})]
    paddle.seed(3)
    net = ernie_classifier(num_classes=5, vocab_size=90, hidden=16, layers=1, heads=2, ffn=32, positions=32)
    model, floats = model_of(net, tmp_path, inputs, ARM)
    assert floats.stat().st_size > 0
    assert model.free == []
    model, floats = model_of(net, tmp_path / "x86", inputs)
    file = model.write(dict.fromkeys(model.free, 8))
    assert file.stat().st_size < 0.9 * floats.stat().st_size


class Heads(nn.Layer):
    """Scores, and numbers that are no scores."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk, self.first, self.second = nn.Linear(6, 12), nn.Linear(12, 3), nn.Linear(12, 4)

    def forward(self, x: Any) -> Any:
        y = paddle.tanh(self.trunk(x))
        return self.first(y), self.second(y)


def of_all(outputs: Any, labels: Any) -> float:
    return float(1 + np.abs(outputs[0]).mean() + np.abs(outputs[1]).mean())


def test_a_metric_of_the_user_s_that_is_given_several_outputs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paddle.seed(3)
    net, inputs = Heads(), [InputSpec(name="x", shape=[2, 6])]
    x = np.random.default_rng(0).standard_normal((7, 6)).astype("float32")
    data = ArrayDataset([x, np.zeros(7, "int64")])
    name = f"{__name__}:of_all"
    evaluation = Evaluation(metric=name, loss=name, goal=Goal.MINIMIZE)

    class Model:
        def __init__(self, file: Path, *rest: Any) -> None:
            self.scale = 2.0 if file.name == "other" else 1.0

        def __enter__(self) -> Any:
            return self

        def __exit__(self, *error: Any) -> None:
            pass

        def run(self, batch: list[np.ndarray]) -> list[np.ndarray]:
            first, second = (one.numpy() for one in net(paddle.to_tensor(batch[0])))
            return [first, second * self.scale]

    monkeypatch.setattr(comparison, "ConvertedModel", Model)
    answers = Answers(inputs, ["0", "1"], evaluation, AnswerForm.RELATIVE)
    same, other = (
        comparison.change(Path("floats"), Path(file), answers, data, tmp_path) for file in ("floats", "other")
    )
    assert (same.drop, same.agreement, same.samples) == (0.0, 1.0, 7)
    assert other.drop > 0
    assert other.agreement == pytest.approx(0.0, abs=1e-6), "the worst output of each sample"
    weights = [Weight(one.name, one.size, "", 1) for one in net.parameters() if one.ndim > 1]
    costs = costs_of(net, weights, data, evaluation)
    assert len(costs) == 3
    assert all(0 < cost < 0.1 for cost in costs.values())


def onnx_of(net: paddle.nn.Layer, folder: Path, **asked: str) -> OnnxPrecision:
    """Return what narrows a net's ONNX model, judged by agreement with itself on digits."""
    folder.mkdir(exist_ok=True)
    answers, parts = agreeing(net)
    exported = export(net, answers.inputs, folder)
    floats = to_onnx.convert(exported, Convert(format=Format.ONNX), folder)
    made = iter(range(9))

    def model(computed: bool) -> OnnxModel:
        samples = first_batches(parts.train, answers.inputs, 16)
        return OnnxModel(floats, exported.layers, samples, folder / f"{next(made)}", computed=computed)

    return OnnxPrecision(
        asked=Quantize.model_validate(asked),
        floats=floats,
        inputs=answers.inputs,
        batches=first_batches(parts.eval, answers.inputs),
        model=model,
        bench=lambda model: Bench(floats, model.write, answers, parts, folder, lambda step: None),
        costs=lambda model: {},
        scratch=folder,
    )


def test_an_onnx_model_is_stored_in_fewer_bits(tmp_path: Path) -> None:
    work = onnx_of(digits_net(), tmp_path, maxDrop="5%")
    found = work.narrow()
    assert len(found.content) < 0.5 * work.floats.stat().st_size
    assert found.change is not None
    assert found.change.drop <= 0.05
    assert found.activations is Activations.NONE


@pytest.mark.parametrize("factor", [0.9, 1.01, 1.3])
def test_layers_compute_in_8_bits_only_where_that_is_faster(
    factor: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    timed = LatencySamples(baseline_seconds=[factor] * 200, pruned_seconds=[1.0] * 200)
    monkeypatch.setattr(precision_onnx, "compare", lambda *models, **how: timed)
    found = onnx_of(digits_net(), tmp_path, maxDrop="20%", activations="int8").narrow()
    assert found.change is not None
    assert found.activations is (Activations.INT8 if factor > 1.02 else Activations.NONE)
    assert (f"it is not faster ({factor:.2f}x)" in found.note) == (factor < 1.02)


def test_a_model_that_computes_nowhere_in_8_bits_does_not_say_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    timed = LatencySamples(baseline_seconds=[1.3] * 200, pruned_seconds=[1.0] * 200)
    monkeypatch.setattr(precision_onnx, "compare", lambda *models, **how: timed)
    paddle.seed(3)
    curved = [nn.Conv2D(1, 32, 3), nn.Hardswish(), nn.Conv2D(32, 10, 3), nn.Hardswish()]
    net = nn.Sequential(*curved, nn.AdaptiveAvgPool2D(1), nn.Flatten())
    found = onnx_of(net, tmp_path, maxDrop="50%", activations="int8").narrow()
    assert found.change is not None
    assert found.activations is Activations.NONE
    assert found.note == "in 8 bits throughout, no layer of it can compute in them"


@pytest.mark.parametrize("asked", ["auto", "int8"])
def test_an_onnx_model_that_is_wrong_is_never_shipped(
    asked: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = precision_onnx_model.quantized

    def quantized(path: Path, folder: Path, *rest: Any) -> Path:
        made = right(path, folder, *rest)
        proto = onnx.load(made)
        for one in proto.graph.initializer:
            array = onnx.numpy_helper.to_array(one)
            if array.dtype == np.float32 and array.size > 1:
                one.CopyFrom(onnx.numpy_helper.from_array(-array, one.name))
        onnx.save(proto, made)
        return made

    monkeypatch.setattr(precision_onnx_model, "quantized", quantized)
    work = onnx_of(digits_net(), tmp_path, weights=asked)
    if asked == "int8":
        with pytest.raises(InvalidInput, match="8 bits for all change too much"):
            work.narrow()
        return
    found = work.narrow()
    assert found.content == work.floats.read_bytes()
    assert found.change is None
    assert "change too much" in found.note


def test_a_program_whose_operators_paddle_lite_orders_anew_each_time(tmp_path: Path) -> None:
    inputs = [InputSpec(name="image", shape=[1, 3, 32, 32])]
    paddle.seed(3)
    model, floats = model_of(paddle.vision.models.shufflenet_v2_x0_25(num_classes=4), tmp_path, inputs)
    batch = np.random.default_rng(0).standard_normal((1, 3, 32, 32)).astype("float32")
    file = model.write(dict.fromkeys(model.free, 16))
    one, other = (outputs(each, batch, inputs, tmp_path) for each in (floats, file))
    assert 0 < apart(one, other) < 1e-3
