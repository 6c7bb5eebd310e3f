"""Networks of every structure are cut, written, rebuilt from the file alone, trained on and exported."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from secateur_api.conditions import Reason
from secateur_api.spec import Convert, Format, Model, Pretrain
from secateur_jobs import checkpoint
from secateur_jobs.conversion import to_onnx
from secateur_jobs.conversion.export import export
from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning.layers import named_layers
from secateur_jobs.pruning.native.engine import NativeEngine
from secateur_jobs.pruning.proof import outputs, relative_difference, sample_inputs
from secateur_jobs.runtime.errors import MissingData
from secateur_jobs.training.seeding import seed_everything
from tests.jobs.rebuilding import rebuilt
from tests.jobs.statistics import like_trained
from tests.jobs.structures import STRUCTURES, Structure

pytestmark = pytest.mark.paddle


def cut_net(structure: Structure) -> paddle.nn.Layer:
    """Return the network with an uneven third or so of every group gone for good."""
    seed_everything(1)
    net = like_trained(structure.build())
    engine = NativeEngine(net, structure.inputs)
    random = np.random.default_rng(4)
    assert engine.groups
    engine.cut(
        {g.name: g.choose(random.random(g.channels), max(1, g.channels * 2 // 3)) for g in engine.groups}
    )
    engine.freeze()
    return net


def model_of(structure: Structure) -> Model:
    return Model(factory=structure.factory, inputs=structure.inputs, pretrain=Pretrain(epochs=1))


@pytest.fixture(scope="module")
def cut_nets() -> dict[str, paddle.nn.Layer]:
    return {name: cut_net(structure) for name, structure in STRUCTURES.items()}


@pytest.mark.parametrize("name", STRUCTURES)
def test_a_cut_net_is_rebuilt_from_its_file_and_trains_on(name: str, cut_nets) -> None:
    structure, net = STRUCTURES[name], cut_nets[name]
    samples = sample_inputs(structure.inputs, seed=7, batch=3)
    expected = outputs(net, samples)
    uncut = {name: tensor.size for name, tensor in checkpoint.state(structure.build()).items()}
    assert sum(array.size < uncut[name] for name, array in checkpoint.state(net).items()) > 3

    content = checkpoint.to_bytes(net, model_of(structure))
    again = rebuilt(content)
    for mine, theirs in zip(outputs(again, samples), expected, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert checkpoint.to_bytes(again, model_of(structure)) == content

    optimizer = paddle.optimizer.Adam(0.01, parameters=again.parameters())
    again.train()
    for _ in range(2):
        found = again(*[paddle.to_tensor(sample) for sample in samples])
        found.square().mean().backward()
        optimizer.step()
        optimizer.clear_grad()
    assert relative_difference(outputs(again, samples), expected) > 1e-3


def test_a_cut_net_says_its_own_widths(cut_nets) -> None:
    rnn = named_layers(cut_nets["crnn"])["rnn"]
    assert (rnn.hidden_size, rnn.input_size) == (8, 10)
    assert {cell.hidden_size for cell in rnn.sublayers() if hasattr(cell, "hidden_size")} == {8}
    attention = named_layers(cut_nets["encoder"])["encoder.layers.0.self_attn"]
    assert (attention.num_heads, attention.head_dim) == (2, 4)
    norm = named_layers(cut_nets["group norm"])["norm1"]
    assert (norm._num_groups, norm._num_channels) == (2, 8)
    layers = named_layers(cut_nets["conv groups"])
    assert (layers["narrow.0"]._groups, layers["wide.0"]._groups) == (4, 2)


def test_weights_of_a_recurrent_layer_are_written_once(cut_nets) -> None:
    names = checkpoint.state(cut_nets["crnn"])
    stored = sum(array.size for name, array in names.items() if name.startswith("rnn"))
    assert stored == sum(p.size for p in cut_nets["crnn"].rnn.parameters())


def test_a_cut_that_does_not_fit_is_refused(cut_nets) -> None:
    content = checkpoint.to_bytes(cut_nets["crnn"], model_of(STRUCTURES["crnn"]))
    wrong = content.replace(b"structures:TextLines", b"structures:Recurrent")
    with pytest.raises(MissingData) as caught:
        rebuilt(wrong, "net.safetensors")
    assert caught.value.reason is Reason.ARTIFACT_CORRUPT


@pytest.mark.parametrize("name", ["crnn", "encoder"])
def test_a_cut_net_exports_and_runs_elsewhere(name: str, cut_nets, tmp_path: Path) -> None:
    structure, net = STRUCTURES[name], cut_nets[name]
    samples = sample_inputs(structure.inputs, seed=3, batch=1)
    expected = outputs(net, samples)
    exported = export(net, structure.inputs, tmp_path)
    loaded = paddle.jit.load(str(tmp_path / "model"))
    assert relative_difference(outputs(loaded, samples), expected) < 1e-5
    file = to_onnx.convert(exported, Convert(format=Format.ONNX), tmp_path)
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    fed = {spec.name: sample for spec, sample in zip(structure.inputs, samples, strict=True)}
    assert relative_difference(session.run(None, fed), expected) < 1e-4
