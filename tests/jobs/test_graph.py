"""An exported model is an ordinary network again: equal, trainable, cut like one that came as code."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from secateur_api.spec import Exported, InputSpec, Model
from secateur_jobs import checkpoint
from secateur_jobs.conversion.export import export
from secateur_jobs.graph.files import TOLERANCE, NotRebuilt, difference, rebuild
from secateur_jobs.graph.steps import Step
from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning import proof
from secateur_jobs.pruning.layers import cuttable_layers, width
from secateur_jobs.pruning.native.engine import NativeEngine
from secateur_jobs.runtime.errors import InvalidInput, MissingData
from secateur_jobs.user_code import build_model

pytestmark = pytest.mark.paddle
nn, F = paddle.nn, paddle.nn.functional
IMAGE = [InputSpec(name="image", shape=[1, 3, 16, 16])]


class Attention(nn.Layer):
    """Patches, heads and a feed-forward part whose widths stand as numbers in the module."""

    def __init__(self, width: int = 24, heads: int = 4) -> None:
        super().__init__()
        self.patch, self.heads, self.each = nn.Conv2D(3, width, 4, stride=4), heads, width // heads
        self.norm, self.qkv, self.proj = (
            nn.LayerNorm(width),
            nn.Linear(width, 3 * width),
            nn.Linear(width, width),
        )
        self.up, self.down, self.head = nn.Linear(width, 32), nn.Linear(32, width), nn.Linear(width, 5)

    def forward(self, x):
        x = self.patch(x).flatten(2).transpose([0, 2, 1])
        b, n, c = x.shape
        q, k, v = self.qkv(self.norm(x)).reshape([b, n, 3, self.heads, self.each]).transpose([2, 0, 3, 1, 4])
        weights = F.softmax(q @ k.transpose([0, 1, 3, 2]) * self.each**-0.5, -1)
        x = x + self.proj((weights @ v).transpose([0, 2, 1, 3]).reshape([b, n, c]))
        return self.head((x + self.down(F.gelu(self.up(x)))).mean(1))


class Mobile(nn.Layer):
    """Depthwise convolution, squeeze and excitation, upsampling, a transposed convolution; two outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2D(3, 16, 3, padding=1, stride=2, bias_attr=False), nn.BatchNorm2D(16)
        self.depth, self.squeeze = nn.Conv2D(16, 16, 3, padding="SAME", groups=16), nn.Conv2D(16, 8, 1)
        self.excite, self.up = nn.Conv2D(8, 16, 1), nn.Conv2DTranspose(16, 12, 2, stride=2)
        self.width, self.head = 12, nn.Linear(12, 4)

    def forward(self, x):
        x = F.hardswish(self.norm(self.stem(x)))
        x = self.depth(x)
        x = x * F.hardsigmoid(self.excite(F.relu(self.squeeze(F.adaptive_avg_pool2d(x, 1)))))
        x = F.relu(self.up(F.interpolate(x, scale_factor=2)))
        return self.head(F.adaptive_avg_pool2d(x, 1).reshape([-1, self.width])), F.sigmoid(x)


class Placed(Attention):
    """With parameters that no layer has: where a patch lies, and a scale of the channels."""

    def __init__(self) -> None:
        super().__init__()
        self.place, self.scale = self.create_parameter([1, 16, 24]), self.create_parameter([24])
        for parameter in (self.place, self.scale):
            parameter.set_value(paddle.uniform(parameter.shape))

    def forward(self, x):
        x = self.patch(x).flatten(2).transpose([0, 2, 1]) + self.place
        return self.head(self.norm(x + self.scale * self.down(F.gelu(self.up(x)))).mean(1))


class Wrapped(nn.Layer):
    """A network of a user's own around one that was rebuilt; it may work in place, so all is computed."""

    def __init__(self, net: nn.Layer) -> None:
        super().__init__()
        self.net = net

    def forward(self, x):
        return self.net(x)


def exported(net: nn.Layer, folder: Path, inputs: list[InputSpec] = IMAGE, batch: int | None = None) -> Path:
    specs = [paddle.static.InputSpec([batch, *i.shape[1:]], i.dtype.value, i.name) for i in inputs]
    net.eval()
    with paddle.utils.unique_name.guard():
        paddle.jit.save(net, str(folder / "inference"), input_spec=specs)
    return folder / "inference.pdmodel"


def built(kind: type[nn.Layer]) -> nn.Layer:
    paddle.seed(3)
    return kind()


def answers(net: nn.Layer, x: np.ndarray) -> list[np.ndarray]:
    net.eval()
    with paddle.no_grad():
        return [output.numpy() for output in paddle.utils.flatten(net(paddle.to_tensor(x)))]


@pytest.mark.parametrize("batch", [None, 1], ids=["any batch", "fixed batch"])
@pytest.mark.parametrize("kind", [Attention, Mobile])
def test_a_rebuilt_network_answers_as_the_original(kind, batch, tmp_path):
    net = built(kind)
    file = exported(net, tmp_path, batch=batch)
    network, difference = rebuild(file, [[1, 3, 16, 16]], tmp_path / "scratch")
    assert difference <= TOLERANCE
    x = np.random.default_rng(5).standard_normal([batch or 3, 3, 16, 16]).astype("float32")
    for own, other in zip(answers(net, x), answers(network, x), strict=True):
        assert np.abs(own - other).max() <= TOLERANCE * np.abs(own).max()


@pytest.mark.parametrize(
    ("wanted", "found", "far"),
    [
        ([4.0, 2.0], [4.0, 1.0], 0.25),
        ([4.0, np.nan], [4.0, 1.0], np.inf),
        ([4.0, 1.0], [4.0, np.nan], np.inf),
        ([4.0, np.inf], [4.0, -np.inf], np.inf),
        ([4.0, np.nan, -np.inf], [4.0, np.nan, -np.inf], 0.0),
        ([4.0], [4.0, 4.0], np.inf),
    ],
)
def test_what_is_no_number_does_not_pass_for_equal(wanted, found, far):
    assert difference(np.array(wanted), np.array(found)) == far


def test_the_form_of_newer_exports_is_read_as_well(tmp_path):
    program = """
        import paddle
        paddle.seed(1)
        net = paddle.nn.Sequential(paddle.nn.Conv2D(3, 8, 3), paddle.nn.ReLU(), paddle.nn.Flatten(),
                                   paddle.nn.Linear(8 * 14 * 14, 3))
        net.eval()
        spec = paddle.static.InputSpec([None, 3, 16, 16], "float32", "image")
        paddle.jit.save(net, "inference", input_spec=[spec])
    """
    subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        env={**os.environ, "FLAGS_enable_pir_api": "1"},
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    network, difference = rebuild(tmp_path / "inference.json", [[1, 3, 16, 16]], tmp_path / "scratch")
    assert difference <= TOLERANCE
    assert [type(layer) for layer in network.sublayers()] == [nn.Conv2D, nn.Linear]


@pytest.mark.parametrize(("kind", "outputs"), [(Attention, {5}), (Mobile, {4, 12})])
def test_widths_that_stand_as_numbers_are_cut(kind, outputs, tmp_path):
    """The module form refuses what its numbers bind; in the graph constants follow, and the proof agrees."""
    network, _ = rebuild(exported(built(kind), tmp_path), [[1, 3, 16, 16]], tmp_path / "scratch")
    engine = NativeEngine(network, IMAGE)
    network.follow(engine.groups)
    proven, unproven = proof.prove_groups(engine, IMAGE)
    assert unproven == {}
    cut = {name for group in proven for name in (*group.producers, *group.others)}
    left = {width(layer) for name, layer in cuttable_layers(network).items() if name not in cut}
    assert left == outputs  # nothing but what makes the outputs


@pytest.mark.parametrize("kind", [Attention, Mobile, Placed])
def test_what_cannot_have_changed_is_not_computed_again(kind, tmp_path, monkeypatch):
    network, _ = rebuild(exported(built(kind), tmp_path), [[1, 3, 16, 16]], tmp_path / "scratch")
    computed = []
    call = Step.__call__
    monkeypatch.setattr(Step, "__call__", lambda step, given: computed.append(step) or call(step, given))

    def found(net: nn.Layer) -> tuple[list[list[tuple[str, int, list[int]]]], int]:
        computed.clear()
        groups = NativeEngine(net, IMAGE).groups
        slices = [[(s.parameter, s.axis, list(s.owner)) for s in group.slices] for group in groups]
        return slices, len(computed)

    groups, few = found(network)
    same, many = found(Wrapped(network))
    assert groups
    assert groups == same
    assert few < 0.7 * many
    assert network.replay is None


def test_a_cut_network_is_exported_again_as_it_is(tmp_path):
    network, _ = rebuild(exported(built(Attention), tmp_path), [[1, 3, 16, 16]], tmp_path / "scratch")
    engine = NativeEngine(network, IMAGE)
    network.follow(engine.groups)
    engine.cut({g.name: np.arange(g.channels) >= g.channels // 2 for g in engine.groups})
    engine.freeze()
    x = np.random.default_rng(6).standard_normal([1, 3, 16, 16]).astype("float32")
    file = export(network, IMAGE, tmp_path).program
    again, _ = rebuild(file, [[1, 3, 16, 16]], tmp_path / "scratch of the other")
    for own, other in zip(answers(network, x), answers(again, x), strict=True):
        assert np.abs(own - other).max() <= TOLERANCE * np.abs(own).max()
    sizes = [sum(p.size for p in one.parameters()) for one in (network, built(Attention))]
    assert sizes[0] < 0.5 * sizes[1]


def test_a_rebuilt_network_trains(tmp_path):
    network, _ = rebuild(exported(built(Mobile), tmp_path), [[1, 3, 16, 16]], tmp_path / "scratch")
    x = paddle.to_tensor(np.random.default_rng(7).standard_normal([8, 3, 16, 16]).astype("float32"))
    optimizer = paddle.optimizer.SGD(0.1, parameters=network.parameters())
    norm = next(layer for layer in network.sublayers() if isinstance(layer, nn.BatchNorm2D))
    mean, losses = norm._mean.numpy(), []
    network.train()
    for _ in range(4):
        loss = F.cross_entropy(network(x)[0], paddle.zeros([8], "int64"))
        loss.backward()
        optimizer.step()
        optimizer.clear_grad()
        losses.append(float(loss))
    assert losses[-1] < losses[0]
    assert not np.array_equal(norm._mean.numpy(), mean)  # it is in training form again


class Sorting(nn.Layer):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2D(3, 4, 3)

    def forward(self, x):
        return paddle.sort(self.conv(x), axis=1)


class Branching(Sorting):
    def forward(self, x):
        x = self.conv(x)
        return x * 2 if x.mean() > 0 else x - 1


@pytest.mark.parametrize(
    ("kind", "said"), [(Sorting, "operator argsort"), (Branching, r"a branch or a loop|operator .*if")]
)
def test_what_cannot_be_rebuilt_is_refused_by_operator(kind, said, tmp_path):
    with pytest.raises(NotRebuilt, match=said):
        rebuild(exported(kind(), tmp_path), [[1, 3, 16, 16]], tmp_path / "scratch")


def test_files_that_do_not_belong_together_are_refused(tmp_path):
    file = exported(built(Mobile), tmp_path)
    params = file.with_suffix(".pdiparams")
    content = params.read_bytes()
    with pytest.raises(NotRebuilt, match=r"input image is \[-1, 3, 16, 16\].*\[1, 1, 16, 16\] is declared"):
        rebuild(file, [[1, 1, 16, 16]], tmp_path / "a")
    with pytest.raises(NotRebuilt, match=r"the model has 1 inputs .*2 are declared"):
        rebuild(file, [[1, 3, 16, 16], [1, 3]], tmp_path / "b")
    params.write_bytes(content[: len(content) // 2])
    with pytest.raises(NotRebuilt, match=r"inference\.pdmodel and inference\.pdiparams cannot be read"):
        rebuild(file, [[1, 3, 16, 16]], tmp_path / "c")
    params.unlink()
    with pytest.raises(NotRebuilt, match=r"there is no file inference\.pdiparams"):
        rebuild(file, [[1, 3, 16, 16]], tmp_path / "d")


def test_a_checkpoint_of_exported_files_is_of_these_files_alone(tmp_path: Path) -> None:
    model = Model(exported=Exported(uri=str(tmp_path / "net.pdmodel")), inputs=IMAGE)
    with pytest.raises(MissingData, match=r"spec.model.exported.uri: there is no file .*net.pdmodel"):
        build_model(model)
    _save(nn.Sequential(nn.Conv2D(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(784, 2)), tmp_path)
    content = checkpoint.to_bytes(build_model(model), model)
    assert checkpoint.from_bytes(content, model)(paddle.ones([2, 3, 16, 16])).shape == [2, 2]
    _save(nn.Sequential(nn.Conv2D(3, 4, 3), nn.Sigmoid(), nn.Flatten(), nn.Linear(784, 2)), tmp_path)
    with pytest.raises(MissingData, match="sha256"):  # the same shapes, another network
        checkpoint.from_bytes(content, model)


def test_an_exported_model_that_is_cut_short_is_refused_by_its_field(tmp_path: Path) -> None:
    _save(nn.Sequential(nn.Conv2D(3, 4, 3)), tmp_path)
    params = tmp_path / "net.pdiparams"
    params.write_bytes(params.read_bytes()[:-1])
    with pytest.raises(InvalidInput, match=r"spec.model.exported.uri: .*net.pdmodel: .*is cut short"):
        build_model(Model(exported=Exported(uri=str(tmp_path / "net.pdmodel")), inputs=IMAGE))


def _save(net: nn.Layer, folder: Path) -> None:
    net.eval()
    spec = paddle.static.InputSpec([None, 3, 16, 16], "float32", "image")
    with paddle.utils.unique_name.guard():
        paddle.jit.save(net, str(folder / "net"), input_spec=[spec])
