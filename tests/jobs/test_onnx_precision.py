"""ONNX models in int8: how small, how near, what of them runs as what, and what is refused."""

from __future__ import annotations

import collections
import dataclasses
import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper, numpy_helper

from secateur_api.conditions import Reason
from secateur_api.spec import Convert, DType, Evaluation, Format, InputSpec
from secateur_jobs.conversion import onnx_gates, to_onnx
from secateur_jobs.conversion.batches import Batch
from secateur_jobs.conversion.converted import ConvertedModel
from secateur_jobs.conversion.export import export
from secateur_jobs.conversion.onnx_gates import judge, same_twice
from secateur_jobs.conversion.onnx_precision import Calibration, Form, Kind, forms, quantized, weights_of
from secateur_jobs.data.digits import splits
from secateur_jobs.paddle_env import paddle
from secateur_jobs.precision.decide import Decision
from secateur_jobs.precision.onnx_model import OnnxModel
from secateur_jobs.runtime.errors import InvalidInput
from secateur_jobs.training.seeding import seed_everything
from secateur_jobs.training.train import train
from secateur_jobs.zoo.digits import residual_net
from secateur_jobs.zoo.ernie import ernie_classifier

pytestmark = pytest.mark.paddle

nn = paddle.nn
FEATURES = [InputSpec(name="x", shape=[2, 16])]


@dataclasses.dataclass
class Case:
    """An exported net."""

    path: Path
    inputs: list[InputSpec]
    layers: dict[str, str]
    samples: list[Batch]
    labels: np.ndarray | None = None

    def made(self, folder: Path, chosen: dict[str, Form], **options: Any) -> Path:
        return quantized(self.path, folder, chosen, self.samples, **options)

    def judged(self, path: Path, **bounds: float) -> onnx_gates.Judged:
        return judge(path, self.path, self.inputs, self.samples, path.parent, **bounds)


def exported(net: nn.Layer, inputs: list[InputSpec], folder: Path, samples: list[Batch]) -> Case:
    net.eval()
    found = export(net, inputs, folder)
    return Case(to_onnx.convert(found, Convert(format=Format.ONNX), folder), inputs, found.layers, samples)


def normal(shape: list[int], count: int = 8) -> list[Batch]:
    random = np.random.default_rng(0)
    return [[random.standard_normal(shape).astype("float32")] for _ in range(count)]


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Case:
    """A trained residual net, with evaluation items."""
    data = splits(size=16, train_copies=1, eval_copies=1)
    seed_everything(0)
    net = residual_net(width=16)
    train(net, data[0], Evaluation(batch_size=100), epochs=3, learning_rate=0.005, batch_size=32, seed=0)
    images, labels = data[1].arrays
    inputs = [InputSpec(name="image", shape=[20, 1, 16, 16])]
    batches = [[images[start : start + 20]] for start in range(0, 400, 20)]
    case = exported(net, inputs, tmp_path_factory.mktemp("digits"), batches)
    case.labels = labels[:400].reshape(20, 20)
    return case


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Case:
    """An encoder; what query, key and value are made of is one value.

    Its width is one of which onnxruntime could not read what it had folded itself.
    """
    seed_everything(0)
    net = ernie_classifier(vocab_size=500, hidden=36, layers=1, heads=2, ffn=64, positions=16)
    random = np.random.default_rng(0)
    samples = [[random.integers(1, 500, (1, 16))] for _ in range(8)]
    inputs = [InputSpec(name="ids", shape=[1, 16], dtype=DType.INT64)]
    return exported(net, inputs, tmp_path_factory.mktemp("text"), samples)


class Recurrent(nn.Layer):
    """Features to a sequence of scores."""

    def __init__(self, layer: Callable[..., nn.Layer]) -> None:
        super().__init__()
        self.rnn, self.fc = layer(24, 32, direction="bidirectional"), nn.Linear(64, 10)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return self.fc(self.rnn(x)[0])


def operators(path: Path) -> collections.Counter[str]:
    """Return what onnxruntime makes of a file when it loads it: operator to how many there are."""
    written = onnx.load(path).graph
    names = [name for node in written.node for name in node.output] + [
        one.name for one in written.initializer
    ]
    assert len(names) == len(set(names))
    taken = {name for node in written.node for name in node.input} | {one.name for one in written.output}
    assert taken.issuperset(one.name for one in written.initializer), "nothing is kept that nobody takes"
    output = path.with_suffix(".loaded.onnx")
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(output)
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return collections.Counter(node.op_type for node in onnx.load(output).graph.node)


def refused(reason: Reason, what: Callable[[], Any]) -> str:
    with pytest.raises(InvalidInput) as caught:
        what()
    assert caught.value.reason is reason, caught.value.message
    assert "\n" not in caught.value.message
    return caught.value.message


def test_weights_are_named_by_their_layers(text: Case, digits: Case, tmp_path: Path) -> None:
    found = {one.layer: one for one in weights_of(text.path, tmp_path, text.layers)}
    table = found["ernie.embeddings.word_embeddings"]
    assert (table.kind, table.shape, table.elements) == (Kind.EMBEDDING, (500, 36), 18000)
    linear = found["ernie.encoder.layers.0.linear1"]
    assert (linear.kind, linear.shape, linear.why_not) == (Kind.LINEAR, (36, 64), "")
    convs = {one.layer: one for one in weights_of(digits.path, tmp_path, digits.layers)}
    assert {"layer1.conv1", "layer3.shortcut.0", "fc"} <= set(convs)
    assert "as much as they save" in convs["conv1"].why_not, "it is small, and counted all the same"
    parameters = [one for one in residual_net(width=16).parameters() if one.ndim > 1]
    assert sum(one.elements for one in convs.values()) == sum(one.size for one in parameters)
    assert convs["layer1.conv1"].kind is Kind.CONV


@pytest.mark.parametrize("form", [Form.STORED_FP16, Form.STORED_INT8])
def test_stored_weights_are_small_and_run_as_float32(form: Form, digits: Case, tmp_path: Path) -> None:
    weights = weights_of(digits.path, tmp_path)
    small = digits.made(tmp_path, {one.name: form for one in weights if not one.why_not})
    assert sum(one.elements for one in weights) > 70_000
    assert small.stat().st_size < digits.path.stat().st_size * (0.55 if form is Form.STORED_FP16 else 0.31)
    assert operators(small) == operators(digits.path), "nothing is computed in each run"
    judged = digits.judged(small)
    assert judged.difference < (0.002 if form is Form.STORED_FP16 else 0.02)
    assert judged.agreement >= 0.99


def accuracy(case: Case, path: Path) -> float:
    with ConvertedModel(path, case.inputs, path.parent) as model:
        answers = np.stack([model.run(batch)[0].argmax(-1) for batch in case.samples])
    return float((answers == case.labels).mean())


@pytest.mark.parametrize("calibration", Calibration)
def test_convolutions_compute_in_int8_and_stay_right(
    calibration: Calibration, digits: Case, tmp_path: Path
) -> None:
    chosen = forms(weights_of(digits.path, tmp_path), activations=True)
    assert set(chosen.values()) == {Form.INT8}
    small = digits.made(tmp_path, chosen, calibration=calibration)
    assert small.stat().st_size < digits.path.stat().st_size * 0.34
    loaded = operators(small)
    assert (loaded["QLinearConv"], loaded["Conv"] + loaded["FusedConv"]) == (8, 1), "all but the first, small"
    judged = digits.judged(small, largest_difference=0.2, least_agreement=0.97)
    assert judged.difference > 0
    before = accuracy(digits, digits.path)
    assert before > 0.8
    assert accuracy(digits, small) >= before - 0.02


def test_an_encoder_multiplies_and_looks_up_in_int8(text: Case, tmp_path: Path) -> None:
    small = text.made(tmp_path, forms(weights_of(text.path, tmp_path)))
    loaded = operators(small)
    assert loaded["MatMulIntegerToFloat"] + loaded["DynamicQuantizeMatMul"] == 7
    assert loaded["DynamicQuantizeLinear"] < 7, "query, key and value take one value, made uint8 once"
    assert loaded["Gemm"] == 1, "the classifier's few weights"
    tables = [one for one in onnx.load(small).graph.initializer if list(one.dims) == [500, 36]]
    assert [one.data_type for one in tables] == [onnx.TensorProto.INT8]
    judged = text.judged(small)
    assert judged.bytes < 0.45 * judged.float_bytes
    assert judged.difference < 0.05


@pytest.mark.parametrize(("layer", "computed"), [(nn.LSTM, 1), (nn.GRU, 0)])
def test_recurrent_weights_are_int8(layer: Callable[..., nn.Layer], computed: int, tmp_path: Path) -> None:
    seed_everything(0)
    inputs = [InputSpec(name="x", shape=[2, 7, 24])]
    case = exported(Recurrent(layer), inputs, tmp_path, normal([2, 7, 24]))
    weights = weights_of(case.path, tmp_path, case.layers)
    recurrent = [one for one in weights if one.kind is Kind.RECURRENT]
    assert [one.layer for one in recurrent] == ["rnn", "rnn"]
    for wanted in (False, True):
        small = case.made(tmp_path, forms(weights, computed=wanted))
        assert operators(small)["DynamicQuantizeLSTM"] == (computed if wanted else 0)
        judged = case.judged(small, least_agreement=0.9)
        assert judged.difference < 0.05
        assert judged.bytes < 0.55 * judged.float_bytes


def test_one_half_of_an_lstm_alone_is_stored(tmp_path: Path) -> None:
    seed_everything(0)
    case = exported(Recurrent(nn.LSTM), [InputSpec(name="x", shape=[2, 7, 24])], tmp_path, normal([2, 7, 24]))
    first = next(one for one in weights_of(case.path, tmp_path) if one.kind is Kind.RECURRENT)
    small = case.made(tmp_path, {first.name: Form.INT8})
    assert operators(small) == operators(case.path)
    assert case.judged(small, least_agreement=0.9).difference < 0.02


def graph(
    folder: Path,
    nodes: list[onnx.NodeProto],
    arrays: dict[str, np.ndarray],
    outputs: list[str],
    **shapes: Any,
) -> Path:
    """Write an ONNX file; ``shapes`` are those of its inputs, whole numbers where they start with 0."""
    given = [
        helper.make_tensor_value_info(
            name, onnx.TensorProto.INT64 if name.startswith("ids") else onnx.TensorProto.FLOAT, shape
        )
        for name, shape in shapes.items()
    ]
    made = [onnx.ValueInfoProto(name=name) for name in outputs]
    for one in made:
        one.type.tensor_type.elem_type = onnx.TensorProto.FLOAT
    content = helper.make_graph(
        nodes, "net", given, made, [numpy_helper.from_array(array, name) for name, array in arrays.items()]
    )
    proto = helper.make_model(content, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path = folder / "net.onnx"
    onnx.save(proto, path)
    return path


def matrix(*shape: int) -> np.ndarray:
    return np.random.default_rng(1).standard_normal(shape).astype("float32")


def test_a_weight_of_two_nodes_is_had_once(tmp_path: Path) -> None:
    square = matrix(32, 32)
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["y"]),
        helper.make_node("Relu", ["y"], ["z"]),
        helper.make_node("MatMul", ["z", "w"], ["out"]),
    ]
    path = graph(tmp_path, nodes, {"w": square}, ["out"], x=[4, 32])
    case = Case(path, [InputSpec(name="x", shape=[4, 32])], {}, normal([4, 32]))
    (weight,) = weights_of(path, tmp_path)
    assert len(weight.nodes) == 2
    for form in Form:
        small = case.made(tmp_path, {"w": form})
        assert case.judged(small, least_agreement=0.9).difference < 0.05
        stored = [one for one in onnx.load(small).graph.initializer if list(one.dims) == [32, 32]]
        assert len(stored) == 1


def test_a_weight_that_unlike_nodes_share_is_stored(tmp_path: Path) -> None:
    """A table that words are looked up in, and that scores are made with."""
    nodes = [
        helper.make_node("Gather", ["w", "ids"], ["rows"], axis=0),
        helper.make_node("Gemm", ["rows", "w"], ["out"], transB=1),
        helper.make_node("ReduceSum", ["w"], ["sum"], keepdims=0),
        helper.make_node("Add", ["rows", "sum"], ["other"]),
    ]
    path = graph(tmp_path, nodes, {"w": matrix(64, 16)}, ["out", "other"], ids=[5])
    samples = [[np.arange(start, start + 5)] for start in (0, 20, 50)]
    case = Case(path, [InputSpec(name="ids", shape=[5], dtype=DType.INT64)], {}, samples)
    (weight,) = [one for one in weights_of(path, tmp_path) if one.name == "w"]
    small = case.made(tmp_path, {weight.name: Form.INT8})
    assert case.judged(small, least_agreement=0.9).difference < 0.02


@pytest.mark.parametrize("transposed", [0, 1])
@pytest.mark.parametrize("alpha", [1.0, 0.5])
def test_a_gemm_is_the_same_in_int8(transposed: int, alpha: float, tmp_path: Path) -> None:
    weight = matrix(24, 16) * np.arange(1, 25)[:, None].astype("float32")
    node = helper.make_node("Gemm", ["x", "w", "b"], ["out"], transB=transposed, alpha=alpha)
    arrays = {"w": weight if transposed else weight.T.copy(), "b": matrix(24) * 10}
    path = graph(tmp_path, [node], arrays, ["out"], x=[2, 16])
    case = Case(path, FEATURES, {}, normal([2, 16]))
    small = case.made(tmp_path, {"w": Form.INT8})
    assert operators(small)["Gemm"] == (alpha != 1.0), "onnxruntime has no int8 product with another factor"
    assert case.judged(small, least_agreement=0.9).difference < 0.03


def test_a_convolution_without_bias_at_the_input_and_the_output(tmp_path: Path) -> None:
    """The second takes what a third and an addition take in float32; its bias is far beyond its steps."""
    arrays = {"w": matrix(8, 8, 3, 3), "v": matrix(8, 8, 3, 3) * 1e-12, "b": np.full(8, 7.0, "float32")}
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["y"], pads=[1, 1, 1, 1]),
        helper.make_node("Conv", ["y", "v", "b"], ["z"], pads=[1, 1, 1, 1]),
        helper.make_node("Conv", ["y", "w"], ["u"], pads=[1, 1, 1, 1]),
        helper.make_node("Add", ["z", "y"], ["out"]),
    ]
    path = graph(tmp_path, nodes, arrays, ["out", "u"], x=[1, 8, 6, 6])
    case = Case(path, [InputSpec(name="x", shape=[1, 8, 6, 6])], {}, normal([1, 8, 6, 6]))
    small = case.made(tmp_path, {"w": Form.INT8, "v": Form.INT8}, calibration=Calibration.MINMAX)
    assert operators(small)["QLinearConv"] == 2
    assert case.judged(small, least_agreement=0.8).difference < 0.03


def test_equal_files_and_samples_give_equal_bytes(digits: Case, tmp_path: Path) -> None:
    weights = weights_of(digits.path, tmp_path)
    chosen = forms(weights, activations=True)
    first = digits.made(tmp_path, chosen).read_bytes()
    assert weights_of(digits.path, tmp_path) == weights
    assert digits.made(tmp_path, chosen).read_bytes() == first


def test_weights_that_are_not_finite_are_refused_by_name(tmp_path: Path) -> None:
    wrong = matrix(16, 32)
    wrong[3, 4] = np.nan
    path = graph(
        tmp_path, [helper.make_node("MatMul", ["x", "w"], ["out"])], {"w": wrong}, ["out"], x=[2, 16]
    )
    message = refused(Reason.WEIGHTS_INVALID, lambda: weights_of(path, tmp_path, {"w": "head.fc"}))
    assert "head.fc (w): 1 of 512 numbers are not finite" in message


def test_a_weight_that_one_number_would_spoil_stays_float32(tmp_path: Path) -> None:
    wild = matrix(32, 16)
    wild[3, 4] = 3e4
    nodes = [
        helper.make_node("MatMul", ["x", "v"], ["y"]),
        helper.make_node("MatMul", ["y", "w"], ["out"]),
    ]
    path = graph(tmp_path, nodes, {"v": matrix(16, 32), "w": wild}, ["out"], x=[2, 16])
    case = Case(path, FEATURES, {}, normal([2, 16]))
    weights = weights_of(path, tmp_path)
    assert "31 of the 32 numbers of channel 4 would become 0, as the largest is 3e+04" in weights[1].why_not
    assert list(forms(weights)) == ["v"]
    kept = {one.name: one for one in onnx.load(case.made(tmp_path, forms(weights))).graph.initializer}
    assert numpy_helper.to_array(kept["w"]).tobytes() == wild.tobytes()
    message = refused(Reason.WEIGHTS_INVALID, lambda: case.made(tmp_path, {"w": Form.STORED_INT8}))
    assert message.startswith("the weights of w cannot be stored int8: 31 of the 32 numbers of channel 4")
    halved = case.made(tmp_path, {"w": Form.STORED_FP16})
    assert case.judged(halved, least_agreement=0.9).difference < 1e-3
    assert "no weight nope" in refused(
        Reason.WEIGHTS_INVALID, lambda: case.made(tmp_path, {"nope": Form.STORED_INT8})
    )


@pytest.mark.parametrize("factor", [1e5, 1e-8])
def test_numbers_beyond_fp16_are_refused(factor: float, tmp_path: Path) -> None:
    node = helper.make_node("MatMul", ["x", "w"], ["out"])
    path = graph(tmp_path, [node], {"w": matrix(16, 32) * np.float32(factor)}, ["out"], x=[2, 16])
    message = refused(Reason.WEIGHTS_INVALID, lambda: quantized(path, tmp_path, {"w": Form.STORED_FP16}))
    assert "the weights of w cannot be stored fp16: its largest number is " in message


@pytest.mark.parametrize(
    ("samples", "said"),
    [
        ([], "there are no calibration samples"),
        ([[np.zeros((0, 1, 16, 16), "float32")]], "there are no calibration samples"),
        (
            [[np.full((20, 1, 16, 16), 0.5, "float32")]] * 3,
            "the calibration samples are 0.5 everywhere",
        ),
        ([[np.full((20, 1, 16, 16), np.nan, "float32")]], "not finite"),
    ],
    ids=["none", "empty", "constant", "not finite"],
)
def test_samples_that_tell_nothing_are_refused(
    samples: list[Batch], said: str, digits: Case, tmp_path: Path
) -> None:
    chosen = forms(weights_of(digits.path, tmp_path), activations=True)
    message = refused(Reason.DATASET_INVALID, lambda: quantized(digits.path, tmp_path, chosen, samples))
    assert said in message


def test_a_mask_of_ones_beside_an_image_is_no_constant_sample(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Mul", ["x", "mask"], ["y"]),
        helper.make_node("Conv", ["y", "w"], ["out"], pads=[1, 1, 1, 1]),
    ]
    shape = [1, 8, 6, 6]
    path = graph(tmp_path, nodes, {"w": matrix(8, 8, 3, 3)}, ["out"], x=shape, mask=shape)
    samples = [[batch[0], np.ones(shape, "float32")] for batch in normal(shape)]
    case = Case(path, [InputSpec(name=name, shape=shape) for name in ("x", "mask")], {}, samples)
    small = case.made(tmp_path, {"w": Form.INT8})
    assert operators(small)["QLinearConv"] == 1
    assert case.judged(small, least_agreement=0.8).difference < 0.1


def test_a_full_disk_is_told_from_a_model_that_cannot_be_loaded(tmp_path: Path) -> None:
    path = graph(
        tmp_path, [helper.make_node("MatMul", ["x", "w"], ["out"])], {"w": matrix(99, 99)}, ["out"], x=[2, 99]
    )
    limited = (
        "import resource, signal, sys, pathlib\n"
        "from secateur_jobs.conversion.onnx_weights import prepared\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (9999, 9999))\n"
        "prepared(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))\n"
    )
    command = [sys.executable, "-c", limited, str(path), str(tmp_path)]
    done = subprocess.run(
        command,
        env={**os.environ, "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "OSError: [Errno 28] No space left on device" in done.stderr
    path.write_bytes(path.read_bytes()[:999])
    message = refused(Reason.CONVERSION_UNSUPPORTED, lambda: weights_of(path, tmp_path))
    assert message.startswith("net.onnx cannot be loaded by onnxruntime: ")


def test_a_bias_is_no_weight_and_a_table_of_places_is(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Add", ["x", "bias"], ["y"]),
        helper.make_node("Add", ["y", "places"], ["out"]),
    ]
    arrays = {"bias": matrix(1, 300), "places": matrix(4, 300)}
    path = graph(tmp_path, nodes, arrays, ["out"], x=[4, 300])
    (weight,) = weights_of(path, tmp_path)
    assert (weight.name, weight.kind, weight.axes) == ("places", Kind.EMBEDDING, (1,))
    case = Case(path, [InputSpec(name="x", shape=[4, 300])], {}, normal([4, 300]))
    assert case.judged(case.made(tmp_path, forms([weight])), least_agreement=0.9).difference < 0.01


def test_what_cannot_be_int8_is_listed(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("MatMul", ["x", "few"], ["y"]),
        helper.make_node("Mul", ["y", "slopes"], ["z"]),
        helper.make_node("Add", ["z", "mask"], ["out"]),
    ]
    mask = np.triu(np.full((20, 20), -np.inf, "float32"), 1)
    path = graph(
        tmp_path, nodes, {"few": matrix(8, 20), "slopes": matrix(20, 20), "mask": mask}, ["out"], x=[20, 8]
    )
    assert {one.name: one.why_not for one in weights_of(path, tmp_path)} == {
        "few": "scales of its 160 numbers would take as much as they save",
        "slopes": "Mul takes no weights in 8 bits",
        "mask": "it is not finite",
    }
    rows = OnnxModel(path, {}, [], tmp_path / "model", computed=False).account({}, Decision({}), "")
    assert sum(row.elements for row in rows) == 960


def test_costs_are_told_with_the_scales_of_the_file(tmp_path: Path) -> None:
    arrays = {"table": matrix(40, 16), "up": matrix(8, 16, 3, 3), "w": matrix(16, 8, 3, 3)}
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["words"]),
        helper.make_node("ConvTranspose", ["x", "up"], ["y"]),
        helper.make_node("Conv", ["y", "w"], ["out"]),
    ]
    path = graph(tmp_path, nodes, arrays, ["words", "out"], ids=[1, 7], x=[1, 8, 6, 6])
    model = OnnxModel(path, {}, [], tmp_path / "model", computed=False)
    for name, (layer, axis) in model.in_paddle().items():
        (weight,) = (one for one in model.weights if one.name == name)
        of_one = math.prod(weight.shape[one] for one in weight.axes)
        assert (layer, arrays[name].shape[axis]) == (name, weight.elements // of_one)
    assert set(model.in_paddle()) == set(arrays)


def test_a_convolution_that_only_makes_zeros_is_stored(tmp_path: Path) -> None:
    arrays = {"w": matrix(8, 8, 3, 3), "b": np.full(8, -1e6, "float32")}
    nodes = [helper.make_node("Conv", ["x", "w", "b"], ["y"]), helper.make_node("Relu", ["y"], ["out"])]
    path = graph(tmp_path, nodes, arrays, ["out"], x=[1, 8, 6, 6])
    small = quantized(path, tmp_path, {"w": Form.INT8}, normal([1, 8, 6, 6]))
    assert operators(small)["QLinearConv"] == 0


@pytest.mark.parametrize(
    ("of", "factor"), [(".w_0.scale", 3.0), (".fixed.scale", 0.1)], ids=["weight", "range"]
)
def test_a_broken_int8_model_is_refused(of: str, factor: float, digits: Case, tmp_path: Path) -> None:
    small = digits.made(tmp_path, forms(weights_of(digits.path, tmp_path), activations=True))
    digits.judged(small, least_agreement=0.97)
    proto = onnx.load(small)
    scale = next(one for one in proto.graph.initializer if one.name.endswith(of))
    wrong = numpy_helper.to_array(scale) * np.float32(factor)
    scale.CopyFrom(numpy_helper.from_array(np.array(wrong, "float32"), scale.name))
    onnx.save(proto, small)
    message = refused(Reason.PARITY_MISSED, lambda: digits.judged(small))
    assert message.startswith("int8 is not used: ")
    assert "differ from the float32 model's" in message


def test_answers_that_differ_are_refused(digits: Case, tmp_path: Path) -> None:
    small = digits.made(tmp_path, forms(weights_of(digits.path, tmp_path)))
    proto = onnx.load(small)
    scale = next(one for one in proto.graph.initializer if list(one.dims) == [10])  # the last layer's bias
    scale.CopyFrom(
        numpy_helper.from_array(numpy_helper.to_array(scale) + np.eye(10, dtype="float32")[3] * 4, scale.name)
    )
    onnx.save(proto, small)
    message = refused(Reason.PARITY_MISSED, lambda: digits.judged(small, largest_difference=10))
    assert "gives the float32 model's answer in " in message


def test_outputs_that_do_not_repeat_are_refused(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("RandomNormalLike", ["x"], ["noise"], scale=1e-6),
        helper.make_node("Add", ["x", "noise"], ["out"]),
    ]
    path = graph(tmp_path, nodes, {}, ["out"], x=[2, 16])
    message = refused(Reason.PARITY_MISSED, lambda: same_twice(path, FEATURES, normal([2, 16]), tmp_path))
    assert "output 0 differs between two runs on the same inputs" in message


def test_outputs_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    path = graph(tmp_path, [helper.make_node("Log", ["x"], ["out"])], {}, ["out"], x=[2, 16])
    message = refused(Reason.PARITY_MISSED, lambda: same_twice(path, FEATURES, normal([2, 16]), tmp_path))
    assert "output 0 is not finite" in message


def test_a_model_that_is_not_smaller_is_refused(tmp_path: Path) -> None:
    path = graph(tmp_path, [helper.make_node("Relu", ["x"], ["out"])], {}, ["out"], x=[2, 16])
    small = quantized(path, tmp_path, {})
    message = refused(Reason.PARITY_MISSED, lambda: judge(small, path, FEATURES, normal([2, 16]), tmp_path))
    assert "no fewer than the float32 model's" in message
