"""A checkpoint of a graph is read without what it was made of: its file, or its factory."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest

import secateur
from secateur_api.spec import Exported, InputSpec, Model
from secateur_jobs import checkpoint
from secateur_jobs.graph.files import rebuild
from secateur_jobs.graph.network import GraphNetwork
from secateur_jobs.graph.of_module import graph_of
from secateur_jobs.paddle_env import paddle
from secateur_jobs.runtime.errors import MissingData
from secateur_jobs.training.forward import read
from secateur_jobs.user_code import build_model
from tests.jobs.test_graph import IMAGE, Attention, Mobile, built, exported
from tests.jobs.test_graph_onnx import CASES, cut_in_half, saved
from tests.jobs.test_module_graph import Counted, Named, Odd

pytestmark = pytest.mark.paddle
nn = paddle.nn


class Fixed(Counted):
    """Its statistics are fixed, and so is a weight."""

    def __init__(self) -> None:
        super().__init__()
        self.norm._use_global_stats = True
        self.two.weight.stop_gradient = True


def _kept(net: GraphNetwork, folder: Path, inputs: list[InputSpec] = IMAGE) -> GraphNetwork:
    """Write it and read it again, by the file alone; both must write the same bytes."""
    content = checkpoint.plain_bytes(net, inputs)
    file = folder / "checkpoint.safetensors"
    file.write_bytes(content)
    again = secateur.load(file)
    assert type(again) is type(net)
    assert checkpoint.plain_bytes(again, inputs) == content
    return again


def _assert_equal(one: nn.Layer, other: nn.Layer, shape: list[int]) -> None:
    x = paddle.to_tensor(np.random.default_rng(8).standard_normal(shape).astype("float32"))
    with paddle.no_grad():
        mine, its = (read(net(x)).arrays() for net in (one, other))
    assert mine.structure == its.structure
    for name, array in mine.tensors.items():
        assert np.array_equal(array, its.tensors[name], equal_nan=True)


@pytest.mark.parametrize("kind", [Attention, Mobile])
def test_an_exported_model_is_read_cut(kind: type[nn.Layer], tmp_path: Path) -> None:
    model = Model(exported=Exported(uri=str(exported(built(kind), tmp_path))), inputs=IMAGE)
    net = build_model(model)
    _assert_equal(net, _kept(net, tmp_path), [2, 3, 16, 16])
    cut_in_half(net, IMAGE)
    small = _kept(net, tmp_path)
    _assert_equal(net, small, [2, 3, 16, 16])
    (tmp_path / "inference.pdmodel").unlink()
    (tmp_path / "round.safetensors").write_bytes(checkpoint.to_bytes(net, model))
    _assert_equal(net, secateur.load(tmp_path / "round.safetensors"), [2, 3, 16, 16])
    inputs = [("image", (1, 3, 16, 16))]
    assert [g.channels for g in secateur.inspect(small, inputs).groups] == [
        g.channels for g in secateur.inspect(net, inputs).groups
    ]


def test_a_stage_reads_exported_files_anew_only_where_the_checkpoint_is_not_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = exported(built(Mobile), tmp_path)
    model = Model(exported=Exported(uri=str(file)), inputs=IMAGE)
    net = build_model(model)
    cut_in_half(net, IMAGE)
    content = checkpoint.to_bytes(net, model)
    reads: list[Model] = []
    monkeypatch.setattr(
        checkpoint, "build_model", lambda model, field: (reads.append(model), build_model(model, field))[1]
    )
    small = checkpoint.from_bytes(content, model)
    assert not reads
    _assert_equal(net, small, [2, 3, 16, 16])
    assert checkpoint.to_bytes(small, model) == content
    batches = model.model_copy(update={"inputs": [InputSpec(name="image", shape=[2, 3, 16, 16])]})
    _assert_equal(net, checkpoint.from_bytes(content, batches), [2, 3, 16, 16])
    with monkeypatch.context() as other:
        other.setattr(checkpoint, "toolchain", lambda: {"secateur": "0.0.1"})
        _assert_equal(net, checkpoint.from_bytes(content, model), [2, 3, 16, 16])
    assert len(reads) == 2
    exported(built(Mobile), tmp_path)  # the same shapes, other numbers
    params = file.with_suffix(".pdiparams")
    params.write_bytes(params.read_bytes()[:-1] + b"\0")
    with pytest.raises(MissingData, match="sha256"):
        checkpoint.from_bytes(content, model)


@pytest.mark.parametrize("case", list(CASES))
def test_every_operator_is_read(case: str, tmp_path: Path) -> None:
    shape = [2 if case == "enlarged" else 1, 4, 8, 8]
    net, _ = rebuild(saved(tmp_path, *CASES[case]), [shape], tmp_path / "scratch")
    _assert_equal(net, _kept(net, tmp_path, [InputSpec(name="x", shape=shape)]), shape)


@pytest.mark.parametrize("kind", [Counted, Named, Attention, Mobile, Fixed])
def test_the_graph_of_a_factory_is_read_cut(kind: type[nn.Layer], tmp_path: Path) -> None:
    net = graph_of(built(kind), IMAGE)
    cut_in_half(net, IMAGE)
    small = _kept(net, tmp_path)
    _assert_equal(net, small, [2, 3, 16, 16])
    assert {name: one.stop_gradient for name, one in net.named_parameters()} == {
        name: one.stop_gradient for name, one in small.named_parameters()
    }
    fixed = [
        [
            (name, one._use_global_stats)
            for name, one in one.named_sublayers()
            if hasattr(one, "_use_global_stats")
        ]
        for one in (net, small)
    ]
    assert fixed[0] == fixed[1]


def test_a_graph_that_trains_in_its_own_way_asks_for_its_network(tmp_path: Path) -> None:
    content = checkpoint.plain_bytes(graph_of(built(Odd), IMAGE), IMAGE)  # a learning rate of its own
    (tmp_path / "a.safetensors").write_bytes(content)
    with pytest.raises(ValueError, match="does not say who builds its network"):
        secateur.load(tmp_path / "a.safetensors")
    assert checkpoint.parse(checkpoint.plain_bytes(built(Counted), IMAGE), "it")[1].graph is None


def test_another_process_reads_it_without_the_code(tmp_path: Path) -> None:
    net = graph_of(built(Counted), IMAGE)
    cut_in_half(net, IMAGE)
    _kept(net, tmp_path)
    code = "import secateur; print(secateur.load('checkpoint.safetensors').fc.weight.shape)"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.split("\n")[-2] == "[6, 10]"


def test_a_recipe_that_is_damaged_is_refused(tmp_path: Path) -> None:
    net = graph_of(built(Counted), IMAGE)

    def refused(recipe: str, said: str) -> None:
        with pytest.raises(MissingData, match=rf"a file: its graph cannot be built: .*{said}"):
            checkpoint._graph(recipe, checkpoint.state(net), "a file")

    def packed(text: str) -> str:
        return base64.b64encode(zlib.compress(text.encode())).decode()

    recipe = checkpoint.parse(checkpoint.plain_bytes(net, IMAGE), "it")[1].graph
    assert recipe is not None
    text = zlib.decompress(base64.b64decode(recipe)).decode()
    refused("abc", "")
    refused(recipe[:200], "")
    refused(packed("[]"), "")
    refused(packed(text.replace("conv2d", "system")), "operator system")
    plain = json.loads(text)
    del plain["parameters"]["fc.weight"]
    refused(packed(json.dumps(plain)), "fc.weight")
