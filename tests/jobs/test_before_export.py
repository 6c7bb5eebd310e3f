"""``spec.model.beforeExport`` rewrites what is exported, nothing else; that must answer the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from secateur_api.results import Artifact
from secateur_api.spec import PruningJobSpec
from secateur_api.stage import Stage
from secateur_jobs.conversion import program
from secateur_jobs.conversion.convert import convert_model
from secateur_jobs.conversion.rewriting import for_export, notes_of
from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning.macs import count
from secateur_jobs.pruning.native.engine import NativeEngine
from secateur_jobs.rehearsal import check_rewritten
from secateur_jobs.runtime.context import StageContext
from secateur_jobs.runtime.errors import InvalidInput
from secateur_jobs.runtime.store import Store
from secateur_jobs.user_code import build_model
from tests.jobs.nets import Branches
from tests.jobs.stages import digits_spec, stage_input

pytestmark = pytest.mark.paddle


def _spec(callable_: str | None) -> PruningJobSpec:
    model = {
        "factory": "tests.jobs.nets:Branches",
        "trained": True,
        "inputs": [{"name": "image", "shape": [2, 3, 8, 8]}],
    }
    if callable_ is not None:
        model["beforeExport"] = f"tests.jobs.nets:{callable_}"
    return PruningJobSpec.model_validate(digits_spec(model=model, convert=[{"format": "onnx"}], benchmark=[]))


def _convert(spec: PruningJobSpec, folder: Path) -> tuple[Branches, list[Artifact], int]:
    """Return the network, what was made of it, and how many convolutions that has."""
    net = build_model(spec.model)
    (folder / "scratch").mkdir(parents=True)
    request = stage_input(Stage.CONVERT, spec.to_wire(), folder / "store")
    context = StageContext(request, Store(request.store), "unit", folder / "scratch")
    sample = np.random.default_rng(0).standard_normal([2, 3, 8, 8]).astype("float32")
    made = convert_model(net, spec, "pruned", context, [[sample]])
    exported = program.parse((folder / "scratch" / "pruned" / "model.pdmodel").read_bytes())
    return net, made, [op.type for op in exported.blocks[0].ops].count("conv2d")


@pytest.mark.parametrize("name", ["folded", "folded_anew"])
def test_the_branches_are_folded_in_the_file_alone(name: str, tmp_path: Path) -> None:
    net, before, branches = _convert(_spec(None), tmp_path / "before")
    net, after, one = _convert(_spec(name), tmp_path / "after")
    assert (branches, one) == (3, 2)
    assert after[0].bytes < before[0].bytes
    assert after[0].parity is not None
    assert net.folded is None


def test_what_answers_otherwise_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="the pruned model as onnx") as caught:
        _convert(_spec("half_folded"), tmp_path)
    assert caught.value.reason.value == "ParityMissed"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("not_folded", r"tests\.jobs\.nets:not_folded returned an object of type int; it must return the"),
        ("folded_twice", r"module 'tests\.jobs\.nets' has no 'folded_twice'"),
        ("with_cumprod", r"with_cumprod raised TypeError"),
    ],
)
def test_a_callable_that_does_not_do_is_named(name: str, said: str) -> None:
    model = _spec(name).model
    with pytest.raises(InvalidInput, match=rf"^spec\.model\.beforeExport: .*{said}"):
        for_export(build_model(model), model)


def _rehearsed(name: str) -> paddle.nn.Layer:
    """Find the groups, and fold the network as the rounds would leave it."""
    spec = _spec(name)
    net = build_model(spec.model)
    engine = NativeEngine(net, spec.model.inputs)
    check_rewritten(engine, engine.groups, spec, [np.ones([2, 3, 8, 8], "float32")])
    return net


def test_what_is_counted_with_the_branches_is_told() -> None:
    model = _spec("folded").model
    net = build_model(model)
    (note,) = notes_of(net, count(net, model.inputs), model)
    macs = 2 * 36 * (8 * 27 + 8 * 72)  # two samples of 6 x 6
    assert note.endswith(f"after tests.jobs.nets:folded, {macs:,} and {8 * 28 + 8 * 73:,}")
    assert f"uncut {macs + 2 * 36 * 8 * 8:,} and {8 * 28 + 8 * 73 + 8 * 9:,}" in note
    assert notes_of(net, count(net, model.inputs), _spec(None).model) == []


def test_preflight_folds_a_narrowed_network() -> None:
    assert _rehearsed("folded").wide.weight.shape == [8, 8, 3, 3]
    with pytest.raises(InvalidInput, match=r"folded_by_numbers raised .*; the network was narrowed by then"):
        _rehearsed("folded_by_numbers")
    with pytest.raises(InvalidInput, match=r"half_folded changes the answers \(output 0\); the network was"):
        _rehearsed("half_folded")
