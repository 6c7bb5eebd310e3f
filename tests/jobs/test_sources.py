"""Results belong to the content that they come from: data, modules, weights."""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from secateur_api.spec import PruningJobSpec
from secateur_api.stage import Stage, Upstream, unit_name
from secateur_jobs import sources
from secateur_jobs.paddle_env import paddle
from secateur_jobs.runtime.errors import InvalidInput
from tests.jobs.stages import digits_spec, run, stage_input

pytestmark = pytest.mark.paddle
CODE = """
import os, time
import numpy as np
import paddle

CONTENT = {
    "labels": np.arange(2000) % 4, "noise": None, "length": 300, "start": 0.0, "dropout": 0.1, "reads": 0,
    "seed": None
}

class Set(paddle.io.Dataset):
    def __init__(self, content):
        super().__init__()
        self.content = dict(content)
        self.own = np.random.default_rng(content["seed"])
    def __len__(self):
        return self.content["length"]
    def __getitem__(self, index):
        image = np.full([1, 4], index, "float32")
        CONTENT["reads"] += 1
        if self.content["noise"] == "seldom" and CONTENT["reads"] == self.content["odd"]:
            image += 1
        if self.content["noise"] == "seeded":
            image += np.random.normal(size=[1, 4]).astype("float32")
        if self.content["noise"] == "own":
            image += self.own.normal(size=[1, 4]).astype("float32")
        label = self.content["labels"][index]
        if self.content["noise"] == "all":
            label = int(self.own.integers(10**9))
            image = image + label
        return image.astype("float32"), np.int64(label)

def splits():
    return Set(CONTENT), Set({**CONTENT, "noise": None})

def net():
    bias = paddle.ParamAttr(initializer=paddle.nn.initializer.Constant(CONTENT["start"]))
    linear = paddle.nn.Linear(4, 4, bias_attr=bias)
    return paddle.nn.Sequential(paddle.nn.Flatten(), linear, paddle.nn.Dropout(CONTENT["dropout"]))
"""


@pytest.fixture
def content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The content of a user's data set, to be changed in place; its module is outside of ``spec.code``."""
    (tmp_path / "sources_of_mine.py").write_text(CODE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "sources_of_mine", raising=False)
    import sources_of_mine

    return sources_of_mine.CONTENT


def spec(**changes: Any) -> PruningJobSpec:
    return PruningJobSpec.model_validate(
        {
            "model": {
                "factory": "sources_of_mine:net",
                "pretrain": {"epochs": 1},
                "inputs": [{"name": "x", "shape": [1, 1, 4]}],
            },
            "data": {"factory": "sources_of_mine:splits"},
            "pruning": {"target": {"macs": "30%"}},
            **changes,
        }
    )


def unit() -> str:
    request = stage_input(Stage.PREFLIGHT, spec().to_wire(), "unused")
    return unit_name(request, sources.find(request.spec)[0])


def test_a_unit_is_named_by_the_data(content):
    before = unit()
    assert unit() == before
    content["labels"] = (content["labels"] + 1) % 4
    changed = unit()
    content["length"] = 299
    assert len({before, changed, unit()}) == 3


def test_a_change_of_one_item_in_fifty_of_a_large_set_is_seen(content):
    content["length"] = 2000
    before = unit()
    labels = content["labels"].copy()
    labels[np.random.default_rng(1).choice(2000, 40, replace=False)] += 1
    content["labels"] = labels
    assert unit() != before


@pytest.mark.parametrize(
    ("noise", "columns", "said"),
    [
        ("seeded", [], []),
        ("own", [0], ["column 0 of the train set is random by design; a change there is not noticed"]),
        ("all", [0, 1], ["each read of the train set gives other items, so a change of the data is not"]),
    ],
)
def test_what_is_random_by_design_is_named_and_left_out(content, noise, columns, said):
    content["noise"] = noise
    found, _ = sources.find(spec())
    assert (found.train.random, found.eval.random) == (columns, [])
    notes = sources.cannot_tell(found, None)
    assert [note[: len(words)] for note, words in zip(notes, said, strict=True)] == said
    before = unit()
    assert unit() == before
    content["labels"] = (content["labels"] + 1) % 4
    assert unit() != before  # the evaluation set shows it


def test_what_differs_at_each_read_is_known_by_a_new_set_s_reads(content):
    content.update(noise="all", seed=7)
    before, _ = sources.find(spec())
    assert before.train.random == [0, 1]
    assert sources.cannot_tell(before, None) == []
    assert sources.find(spec())[0] == before
    sources.check(spec(), before)
    content["seed"] = 8
    assert sources.find(spec())[0] != before


def test_what_is_random_so_seldom_that_nobody_saw_ends_no_job(content):
    before, _ = sources.find(spec())
    content.update(noise="seldom", odd=content["reads"] + 4)  # of both sets a first item is looked at
    sources.check(spec(), before)
    assert content["reads"] > content["odd"]


@pytest.mark.parametrize("changed", [{"start": 1.0}, {"dropout": 0.2}])
def test_a_unit_is_named_by_what_the_factory_builds(content, changed):
    before = unit()
    content.update(changed)
    assert unit() != before


def test_a_factory_that_reads_something_else_later_ends_the_job(content):
    before, _ = sources.find(spec())
    assert before.network.keys() == {"1.bias", "shapes"}  # the seed decides the rest
    sources.check(spec(), before)
    content["start"] = 1.0
    with pytest.raises(InvalidInput, match=r"the network has changed \(1\.bias\) since the job"):
        sources.check(spec(), before)


def test_with_a_version_nothing_is_to_be_said(content):
    content["noise"] = "all"
    assert sources.cannot_tell(sources.find(spec())[0], "2026-01") == []


def test_data_that_change_between_two_stages_end_the_job(content):
    before, _ = sources.find(spec())
    sources.check(spec(), before)
    content["labels"] = (content["labels"] + 1) % 4
    with pytest.raises(
        InvalidInput, match=r"the train set has changed: item 0 is another since the job"
    ) as end:
        sources.check(spec(), before)
    assert end.value.reason.value == "SourcesChanged"
    content["length"] = 200
    with pytest.raises(InvalidInput, match="it had 300 items and has 200"):
        sources.check(spec(), before)


def test_modules_from_elsewhere_count_and_installed_ones_do_not(content, tmp_path):
    found, _ = sources.find(spec())
    assert "sources_of_mine" in found.modules
    assert not {"numpy", "paddle", "json", "secateur_jobs.sources"} & found.modules.keys()
    assert "sources_of_mine" not in sources.find(spec(), tmp_path)[0].modules  # spec.code has its digest
    file = tmp_path / "sources_of_mine.py"
    file.write_text(f"{CODE}\nWIDTH = 5\n")
    with pytest.raises(InvalidInput, match="module sources_of_mine has changed since the job began"):
        sources.check(spec(), found)


def test_files_of_weights_are_pinned(content, tmp_path):
    file = tmp_path / "w.npz"
    np.savez(file, **{"1.weight": np.zeros([4, 4], "float32"), "1.bias": np.zeros(4, "float32")})
    named = spec(model={**spec().model.to_wire(), "pretrain": None, "weights": {"uri": str(file)}})
    before, _ = sources.find(named)
    pinned = sources.pinned(named, before)
    assert pinned.model.weights is not None
    assert pinned.model.weights.sha256 == before.weights["spec.model.weights"]
    np.savez(file, **{"1.weight": np.ones([4, 4], "float32"), "1.bias": np.zeros(4, "float32")})
    assert sources.find(named)[0].weights != before.weights
    with pytest.raises(InvalidInput, match=r"spec\.model\.weights\.sha256"):
        sources.find(pinned)


LAZY = """
import paddle

class Net(paddle.nn.Layer):
    def __init__(self):
        super().__init__()
        self.conv, self.last = paddle.nn.Conv2D(1, 8, 3), paddle.nn.Conv2D(8, 10, 14)
    def forward(self, x):
        from helper_of_mine import SCALE
        return self.last(self.conv(x) * SCALE).flatten(1)

def net():
    paddle.seed(1)
    return Net()
"""


def test_a_module_that_only_a_call_imports_is_known_by_what_was_run(tmp_path):
    (tmp_path / "lazy_of_mine.py").write_text(LAZY)
    helper = tmp_path / "helper_of_mine.py"
    helper.write_text("SCALE = 1.0\n")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    model = {
        "factory": "lazy_of_mine:net",
        "trained": True,
        "inputs": [{"name": "image", "shape": [1, 1, 16, 16]}],
    }
    data = {"factory": "secateur_jobs.data.digits:splits", "args": {"size": 16}}
    pruning = {"target": {"macs": "30%"}, "align": 1, "protect": {"first": 0.5, "last": 0.5}}
    job = digits_spec(model=model, data=data, pruning=pruning, convert=[{"format": "onnx"}], benchmark=[])

    def preflight():
        return run(
            "preflight", stage_input(Stage.PREFLIGHT, job, tmp_path / "store"), tmp_path, PYTHONPATH=path
        )

    first = preflight()
    assert (first.code, first.said.reused) == (0, False), first.said.message
    assert preflight().said.reused
    helper.write_text("SCALE = 2.0\n")
    upstream = Upstream(preflight=first.said.unit)
    request = stage_input(Stage.SENSITIVITY, job, tmp_path / "store", upstream=upstream)
    ended = run("sensitivity", request, tmp_path, PYTHONPATH=path)
    assert (ended.code, ended.said.reason) == (64, "SourcesChanged")
    assert f"{helper} has changed since the job began" in ended.said.message
    again = preflight()
    assert (again.said.unit, again.said.reused) == (first.said.unit, False)
    assert again.said.message.endswith(f"it was made with another {helper}")


def test_looking_leaves_no_trace_in_the_generators(content):
    def state() -> tuple[Any, ...]:
        return random.getstate(), np.random.get_state()[1].tolist(), paddle.rand([3]).tolist()

    content["noise"] = "seeded"
    paddle.seed(5)
    untouched = state()
    paddle.seed(5)
    sources.find(spec())
    assert state() == untouched
