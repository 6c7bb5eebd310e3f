"""An ONNX file is an ordinary network again: equal to what onnxruntime answers, or refused by operator."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper, parser

from secateur_api.spec import Convert, Format, InputSpec
from secateur_jobs.conversion import to_onnx
from secateur_jobs.conversion.export import export
from secateur_jobs.graph.files import TOLERANCE, NotRebuilt, rebuild
from secateur_jobs.graph.network import GraphNetwork
from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning import proof
from secateur_jobs.pruning.layers import cuttable_layers, width
from secateur_jobs.pruning.native.engine import NativeEngine
from tests.jobs.test_graph import IMAGE, Attention, Mobile, answers, built

pytestmark = pytest.mark.paddle
nn = paddle.nn
Arrays = dict[str, np.ndarray]


def saved(folder: Path, body: str, arrays: Arrays, opset: int = 17, signature: str = "") -> Path:
    """Write a file whose graph is ``body``, in ONNX's own text form; its input is x, its output y."""
    signature = signature or "(float[n,4,8,8] x) => (float[?] y)"
    text = f'<ir_version: 7, opset_import: ["" : {opset}, "other" : 1]> net {signature} {{ {body} }}'
    model = parser.parse_model(text)
    for output in model.graph.output:
        output.type.tensor_type.ClearField("shape")
    model.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in arrays.items())
    onnx.save(model, folder / "net.onnx")
    return folder / "net.onnx"


def drawn(**shapes: list[int]) -> Arrays:
    random = np.random.default_rng(3)
    return {name: random.standard_normal(shape).astype("float32") for name, shape in shapes.items()}


def whole(**values: object) -> Arrays:
    return {name: np.array(value, "int64") for name, value in values.items()}


def number(value: float) -> np.ndarray:
    return np.array(value, "float32")


def converted(kind: type[nn.Layer], folder: Path) -> Path:
    exported = export(built(kind), IMAGE, folder)
    return to_onnx.convert(exported, Convert(format=Format.ONNX), folder)


def cut_in_half(network: GraphNetwork, inputs: list[InputSpec]) -> NativeEngine:
    engine = NativeEngine(network, inputs)
    network.follow(engine.groups)
    proven, unproven = proof.prove_groups(engine, inputs)
    assert unproven == {}
    engine.cut({g.name: np.arange(g.channels) >= g.channels // 2 for g in proven})
    engine.freeze()
    return engine


@pytest.mark.parametrize(("kind", "outputs"), [(Attention, {5}), (Mobile, {4, 12})])
def test_a_converted_network_is_rebuilt_cut_and_exported_again(kind, outputs, tmp_path):
    file = converted(kind, tmp_path)
    network, difference = rebuild(file, [[1, 3, 16, 16]], tmp_path / "scratch")
    assert difference <= TOLERANCE
    before = {name: width(layer) for name, layer in cuttable_layers(network).items()}
    cut_in_half(network, IMAGE)
    after = {name: width(layer) for name, layer in cuttable_layers(network).items()}
    assert {w for name, w in before.items() if after[name] == w} == outputs
    x = np.random.default_rng(6).standard_normal([1, 3, 16, 16]).astype("float32")
    again = tmp_path / "again"
    again.mkdir()
    file = to_onnx.convert(export(network, IMAGE, again), Convert(format=Format.ONNX), again)
    second, _ = rebuild(file, [[1, 3, 16, 16]], tmp_path / "scratch of the other")
    for own, other in zip(answers(network, x), answers(second, x), strict=True):
        assert np.abs(own - other).max() <= TOLERANCE * np.abs(own).max()


NORM = """m = ReduceMean<axes = [-1]>(x) d = Sub(x, m) q = Pow(d, two) v = ReduceMean<axes = [-1]>(q)
    e = Add(v, eps) s = Sqrt(e) z = Div(d, s) w = Mul(z, scale) b = Add(w, shift)
    h = Div(b, root) r = Erf(h) o = Add(r, one) g = Mul(b, o) y = Mul(g, half)"""
NORM_ARRAYS = drawn(scale=[8], shift=[8]) | {
    "two": number(2),
    "eps": number(1e-5),
    "root": number(2**0.5),
    "one": number(1),
    "half": number(0.5),
}
LSTM = "t = Reshape(x, parts) l = Transpose<perm = [1, 0, 2]>(t) y = LSTM<{}, hidden_size = 5>(l, w, r, b)"

CASES: dict[str, tuple[str, Arrays, int]] = {
    "convolutions": (
        """a = Conv<auto_pad = "SAME_LOWER", strides = [2, 2]>(x, w, b) c = Conv<pads = [0, 1, 1, 0]>(a, v)
           d = ConvTranspose<strides = [2, 2], pads = [1, 1, 1, 1], output_padding = [1, 1], group = 2>(c, u)
           e = PRelu(d, s) y = BatchNormalization(e, scale, shift, mean, variance)""",
        drawn(w=[6, 4, 3, 3], b=[6], v=[8, 6, 2, 2], u=[8, 3, 3, 3], s=[6, 1, 1], scale=[6], shift=[6])
        | {"mean": np.arange(6, dtype="float32"), "variance": np.arange(1, 7, dtype="float32")},
        17,
    ),
    "along one axis": (
        """t = Reshape(x, parts) a = Conv<pads = [1, 0]>(t, w, b) c = MaxPool<kernel_shape = [2]>(a)
           y = GlobalAveragePool(c)""",
        drawn(w=[6, 32, 3], b=[6]) | whole(parts=[0, 32, 8]),
        17,
    ),
    "pools": (
        """a = MaxPool<kernel_shape = [3, 3], strides = [2, 2], ceil_mode = 1>(x)
           b = AveragePool<kernel_shape = [3, 3], pads = [1, 1, 1, 1], count_include_pad = 1>(x)
           c = AveragePool<kernel_shape = [3, 3], pads = [1, 1, 1, 1]>(x) d = Add(b, c)
           e = GlobalMaxPool(d) y = Mul(a, e)""",
        {},
        17,
    ),
    "shapes that follow the batch": (
        """s = Shape(x) n = Gather<axis = 0>(s, zero) u = Unsqueeze(n, axis) t = Concat<axis = 0>(u, rest)
           a = Reshape(x, t) p = Concat<axis = 0>(u, ones) e = Expand(token, p)
           z = ConstantOfShape(p) f = Add(e, z) y = Concat<axis = 1>(f, a)""",
        drawn(token=[1, 1, 64]) | whole(zero=0, axis=[0], rest=[4, 64], ones=[1, 64]),
        17,
    ),
    "normalisation and GELU in pieces": (NORM, NORM_ARRAYS, 13),
    "instance normalisation": (
        "a = InstanceNormalization(x, w, b) y = Softplus(a)",
        drawn(w=[4], b=[4]),
        17,
    ),
    "HardSwish in pieces, as attributes": (
        "a = Add(x, three) b = Clip<min = 0.0, max = 6.0>(a) c = Mul(x, b) y = Div(c, six)",
        {"three": number(3), "six": number(6)},
        10,
    ),
    "arithmetic": (
        """a = Neg(x) b = Max(a, low) c = Reciprocal(b) d = Sum(c, x, b) e = LogSoftmax<axis = 1>(d)
           f = Elu<alpha = 0.5>(e) g = Less(f, x) y = Where(g, f, channel)""",
        drawn(channel=[1, 4, 1, 1]) | {"low": number(0.5)},
        17,
    ),
    "parts": (
        """a, b, c = Split<axis = 1>(x, sizes) d = Concat<axis = 1>(c, a, b)
           e = Slice(d, start, end, axes, back) f = Gather<axis = 1>(e, last)
           g = Gather<axis = 2>(x, rows) h = ReduceSum<keepdims = 0>(g, axes)
           k = Tile(h, twice) y = Concat<axis = 2>(f, k)""",
        whole(
            sizes=[1, 1, 2], start=[-1], end=[-9], axes=[1], back=[-1], last=-1, rows=[0, -1], twice=[1, 4, 1]
        ),
        17,
    ),
    "padding": (
        """a = Pad<mode = "reflect">(x, pads) b = Pad<mode = "edge">(a, pads) y = Pad(b, more, value)""",
        whole(pads=[0, 0, 1, 2, 0, 0, 2, 0], more=[0, 1, 0, 0, 0, 0, 2, 1]) | {"value": number(2.5)},
        17,
    ),
    "space and depth": (
        """a = SpaceToDepth<blocksize = 2>(x) b = DepthToSpace<blocksize = 2, mode = "CRD">(a)
           c = SpaceToDepth<blocksize = 2>(b) y = DepthToSpace<blocksize = 2>(c)""",
        {},
        17,
    ),
    "enlarged": (
        """a = Resize<mode = "nearest", coordinate_transformation_mode = "asymmetric",
             nearest_mode = "floor">(x, , double)
           b = Resize<mode = "linear">(a, , double)
           c = Resize<mode = "linear", coordinate_transformation_mode = "align_corners">(b, , , size)
           d = Resize<mode = "linear", coordinate_transformation_mode = "asymmetric">(c, , double)
           y = Resize<mode = "cubic", cubic_coeff_a = -0.75>(d, , double)""",
        {"double": np.array([1, 1, 2, 2], "float32")} | whole(size=[2, 4, 11, 9]),
        17,
    ),
    "linear layers": (
        """f = Flatten(x) a = Gemm<alpha = 0.5, beta = 2.0, transB = 1>(f, w, b) c = MatMul(a, v)
           y = Add(c, d)""",
        drawn(w=[7, 256], b=[7], v=[7, 3], d=[3]),
        17,
    ),
    "recurrence in one direction": (
        LSTM.format('direction = "forward"'),
        drawn(w=[1, 20, 8], r=[1, 20, 5], b=[1, 40]) | whole(parts=[0, 32, 8]),
        17,
    ),
    "recurrence in both directions": (
        LSTM.format('direction = "bidirectional"'),
        drawn(w=[2, 20, 8], r=[2, 20, 5], b=[2, 40]) | whole(parts=[0, 32, 8]),
        17,
    ),
    "gated recurrence": (
        LSTM.format('linear_before_reset = 1, direction = "bidirectional"').replace("LSTM", "GRU"),
        drawn(w=[2, 15, 8], r=[2, 15, 5], b=[2, 30]) | whole(parts=[0, 32, 8]),
        17,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_operators_are_rebuilt(case, tmp_path):
    body, arrays, opset = CASES[case]
    batch = 2 if case == "enlarged" else 1
    _, difference = rebuild(saved(tmp_path, body, arrays, opset), [[batch, 4, 8, 8]], tmp_path / "scratch")
    assert difference <= TOLERANCE


def test_normalisation_in_pieces_is_one_layer(tmp_path):
    network, _ = rebuild(saved(tmp_path, NORM, NORM_ARRAYS, 13), [[1, 4, 8, 8]], tmp_path / "scratch")
    assert [type(layer) for layer in network.sublayers()] == [nn.LayerNorm]


def test_ids_look_up_all_rows_of_a_table(tmp_path):
    signature = "(int64[n,6] x) => (float[?] y)"
    file = saved(tmp_path, "y = Gather(table, x)", drawn(table=[9, 5]), signature=signature)
    network, difference = rebuild(file, [[1, 6]], tmp_path / "scratch")
    assert difference <= TOLERANCE
    assert [type(layer) for layer in network.sublayers()] == [nn.Embedding]


def test_weights_that_several_operators_read_stay_one(tmp_path):
    body = "f = Flatten(x) a = Gemm(f, w, b) r = Relu(a) c = Gemm(r, w, b) y = Add(a, c)"
    file = saved(tmp_path, body, drawn(w=[256, 256], b=[256]))
    network, difference = rebuild(file, [[1, 4, 8, 8]], tmp_path / "scratch")
    assert difference <= TOLERANCE
    assert sum(parameter.size for parameter in network.parameters()) == 256 * 257


def test_channels_before_a_split_are_cut_beside_a_constant(tmp_path):
    """The proof runs in float64: what the narrow net is probed with must be so as well."""
    body = """s = ConstantOfShape(ones) t = Cos(s) still = Add(t, t)
        a = Conv(x, w) b, c = Split<axis = 1>(a, sizes) e = Conv(c, u) f = Add(c, e)
        d = Concat<axis = 1>(b, c, f) g = Conv(d, v) y = Concat<axis = 1>(still, g)"""
    arrays = drawn(w=[8, 4, 1, 1], u=[4, 4, 1, 1], v=[3, 12, 1, 1]) | whole(sizes=[4, 4], ones=[1, 2, 8, 8])
    signature = "(float[1,4,8,8] x) => (float[?] y)"
    network, _ = rebuild(saved(tmp_path, body, arrays, 17, signature), [[1, 4, 8, 8]], tmp_path / "scratch")
    inputs = [InputSpec(name="x", shape=[1, 4, 8, 8])]
    proven, unproven = proof.prove_groups(NativeEngine(network, inputs), inputs)
    assert unproven == {}
    assert {producer for group in proven for producer in (*group.producers, *group.others)} == {"w", "u"}


BRANCH = """s = ReduceMean<keepdims = 0>(x) p = Greater(s, zero)
    y = If(p) <then_branch = a () => (float[n,4,8,8] t) { t = Relu(x) },
               else_branch = b () => (float[n,4,8,8] e) { e = Neg(x) }>"""


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("y = CumSum(x, axis)", r"operator CumSum \(it makes y\) cannot be rebuilt"),
        ("y = other.Wave(x)", r"operator other\.Wave \(it makes y\) is of a custom domain"),
        (BRANCH, r"operator If \(it makes y\) holds a graph of its own \(a branch or a loop\)"),
        (
            "q, s, z = DynamicQuantizeLinear(x) y = DequantizeLinear(q, s, z)",
            r"operator DynamicQuantizeLinear .* is quantised; give the model in float32",
        ),
        ("y = NonZero(x)", r"operator NonZero .* makes a shape that depends on the data"),
        (
            "p = ReduceMax<keepdims = 0>(x) i = Cast<to = 7>(p) u = Abs(i) m = Mul(u, axis) "
            "n = Unsqueeze(m, first) t = Concat<axis = 0>(n, rest) y = Reshape(x, t)",
            r"operator Reshape \(it makes y\) cannot be rebuilt: its target depends on the data",
        ),
        ("t = Reshape(x, rows) l, y = LSTM<hidden_size = 5>(t, w, r)", "LSTM .* its last states are used"),
        ("y = RandomNormalLike(x)", "operator RandomNormalLike .* answers otherwise each time"),
        ("h = Cast<to = 10>(x) i = Add(h, half) y = Cast<to = 1>(i)", "takes half of float16; give"),
    ],
)
def test_what_cannot_be_rebuilt_is_refused_by_operator(body, said, tmp_path):
    arrays = drawn(w=[1, 20, 8], r=[1, 20, 5]) | whole(axis=0, first=[0], rest=[-1], rows=[32, -1, 8])
    arrays |= {"zero": number(0), "half": np.array(0.5, "float16")}
    with pytest.raises(NotRebuilt, match=rf"^net\.onnx cannot be read: .*{said}"):
        rebuild(saved(tmp_path, body, arrays), [[1, 4, 8, 8]], tmp_path / "scratch")


def test_broken_files_are_refused_in_a_sentence(tmp_path):
    file = saved(tmp_path, "y = Conv(x, w)", drawn(w=[64, 4, 3, 3]))
    content = file.read_bytes()
    with pytest.raises(NotRebuilt, match=r"input x is \[-1, 4, 8, 8\].*\[1, 3, 8, 8\] is declared"):
        rebuild(file, [[1, 3, 8, 8]], tmp_path / "a")
    file.write_bytes(content[: len(content) // 2])
    with pytest.raises(NotRebuilt, match=r"net\.onnx cannot be read: it is no whole ONNX file"):
        rebuild(file, [[1, 4, 8, 8]], tmp_path / "b")
    file.write_bytes(b"")
    with pytest.raises(NotRebuilt, match=r"it is no whole ONNX file"):
        rebuild(file, [[1, 4, 8, 8]], tmp_path / "c")
    with pytest.raises(NotRebuilt, match=r"there is no file other\.onnx"):
        rebuild(tmp_path / "other.onnx", [[1, 4, 8, 8]], tmp_path / "d")


@pytest.mark.parametrize("is_there", [True, False])
def test_weights_beside_a_file_are_read_or_missed(is_there, tmp_path):
    file = saved(tmp_path, "y = Conv(x, w)", drawn(w=[64, 4, 3, 3]))
    model = onnx.load(file)
    onnx.save_model(model, file, save_as_external_data=True, location="weights.bin", size_threshold=0)
    if is_there:
        assert rebuild(file, [[1, 4, 8, 8]], tmp_path / "a")[1] <= TOLERANCE
        whole_file = (tmp_path / "weights.bin").read_bytes()
        (tmp_path / "weights.bin").write_bytes(whole_file[:100])
        with pytest.raises(NotRebuilt, match=r"its weights are in weights\.bin, which is cut short"):
            rebuild(file, [[1, 4, 8, 8]], tmp_path / "b")
        return
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(NotRebuilt, match=r"its weights are in weights\.bin, which is missing beside it"):
        rebuild(file, [[1, 4, 8, 8]], tmp_path / "a")
