"""Texts without labels: token ids, types and mask by the inputs' names, split for good, refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from secateur_api.spec import Data, Evaluation, InputSpec, Lines, Model, Vocabulary
from secateur_jobs.data.codeless import notes_of, splits
from secateur_jobs.paddle_env import paddle
from secateur_jobs.runtime.errors import InvalidInput, MissingData
from secateur_jobs.training.answers import answered
from secateur_jobs.training.batching import ArrayDataset, gather

pytestmark = pytest.mark.paddle
TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "good", "bad", "##ly", "中", "国", "cafe", "!"]
TEXTS = "good\n\nBad!\r\nbadly good\n中国\ncafé\n   \nnothing\n"
"""Six texts."""
FILLED = [
    [2, 4, 3, 0, 0],
    [2, 5, 10, 3, 0],
    [2, 5, 6, 4, 3],
    [2, 7, 8, 3, 0],
    [2, 9, 3, 0, 0],
    [2, 1, 3, 0, 0],
]


def _model(*inputs: str, length: int = 5) -> Model:
    """Return a model of ``NAME:DTYPE`` inputs."""
    named = [one.split(":") for one in inputs]
    specs = [InputSpec(name=name, shape=[1, length], dtype=dtype) for name, dtype in named]
    return Model(factory="m:net", trained=True, inputs=specs)


IDS = _model("x:int64")


def _data(folder: Path, texts: str | bytes = TEXTS, tokens: list[str] = TOKENS, **fields: Any) -> Data:
    (folder / "texts.txt").write_bytes(texts if isinstance(texts, bytes) else texts.encode())
    (folder / "vocab.txt").write_text("".join(f"{token}\n" for token in tokens), encoding="utf-8")
    vocabulary = Vocabulary(uri=str(folder / "vocab.txt"), cased=fields.pop("cased", False))
    return Data(lines=Lines(uri=str(folder / "texts.txt"), vocabulary=vocabulary, **fields))


def _columns(data: Data, model: Model) -> list[np.ndarray]:
    """Return the columns of all texts, ordered by their ids."""
    found = splits(data, model, seed=0)
    columns = [np.concatenate(parts) for parts in zip(*(one.arrays for one in found), strict=True)]
    return columns


def test_each_text_is_in_one_part_and_always_in_the_same(tmp_path: Path) -> None:
    data = _data(tmp_path)
    found = splits(data, IDS, seed=0)
    assert [len(part) for part in found] == [4, 2]
    assert sorted(row.tolist() for part in found for row in part.arrays[0]) == sorted(FILLED)
    assert np.array_equal(splits(data, IDS, seed=0).eval.arrays[0], found.eval.arrays[0])
    assert notes_of(data, IDS, found) == ["of 6 texts 4 are trained on and 2 measured on"]


def test_inputs_are_what_their_names_say_in_any_order(tmp_path: Path) -> None:
    model = _model("attention_mask:float32", "token_type_ids:int64", "input_ids:int32")
    mask, types, ids, label = _columns(_data(tmp_path), model)
    assert sorted(ids.tolist()) == sorted(FILLED)
    assert np.array_equal(mask, ids > 0)
    assert not types.any()
    assert [column.dtype.name for column in (mask, types, ids)] == ["float32", "int64", "int32"]
    assert label.size == 0


def test_texts_are_cut_to_the_inputs_length(tmp_path: Path) -> None:
    ids, _ = _columns(_data(tmp_path), _model("x:int64", length=3))
    assert sorted(ids.tolist()) == sorted([[2, row[1], 3] for row in FILLED])


def test_a_cased_vocabulary_keeps_capitals_and_accents(tmp_path: Path) -> None:
    ids, _ = _columns(_data(tmp_path, "Bad\ncafé\nbad\n", cased=True), IDS)
    assert sorted(ids[:, 1].tolist()) == [1, 1, 5]


def test_many_texts_are_taken_apart_when_they_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("secateur_jobs.data.apart._KEPT", 0)
    found = splits(_data(tmp_path), IDS, seed=0)
    assert not any(isinstance(part, ArrayDataset) for part in found)
    rows = [row for part in found for row in gather(part, range(len(part)))[0].tolist()]
    assert sorted(rows) == sorted(FILLED)


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        (["input_ids:int64", "x:int64"], "spec.model.inputs has 'x', of which one must be the token ids"),
        (
            ["input_ids:int64", "position_ids:int64"],
            "has 2 inputs, input_ids, position_ids, of which one must",
        ),
        (["type:int64", "mask:int64"], "has 2 inputs, type, mask, of which one must be the token ids"),
        (["x:float32"], r"spec.model.inputs \(x\) is float32; token ids are int64 or int32"),
        (["input_ids:int64", "token_type_ids:float32"], r"\(token_type_ids\) is float32"),
    ],
)
def test_inputs_that_do_not_say_what_they_are_are_named(inputs: list[str], said: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=f"spec.data.lines: .*{said}"):
        splits(_data(tmp_path), _model(*inputs), seed=0)


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        ("", "texts.txt has no texts; at least 2 are needed"),
        ("\n good \n\n", "texts.txt has 1 text; at least 2 are needed"),
        (b"good\ngut\n" + "schön\n".encode("latin-1"), "texts.txt, line 3 is not UTF-8 text"),
    ],
)
def test_files_without_texts_are_named(texts: str | bytes, said: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=f"spec.data.lines: .*{said}"):
        splits(_data(tmp_path, texts), IDS, seed=0)


def test_a_vocabulary_that_does_not_serve_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"spec.data.lines.vocabulary: .*vocab.txt lacks \[SEP\]"):
        splits(_data(tmp_path, tokens=["[PAD]", "[UNK]", "[CLS]"]), IDS, seed=0)
    data = _data(tmp_path)
    (tmp_path / "vocab.txt").unlink()
    with pytest.raises(MissingData, match=r"spec.data.lines.vocabulary.uri: there is no file .*vocab.txt"):
        splits(data, IDS, seed=0)


def test_a_token_that_the_model_does_not_know_is_one_sentence(tmp_path: Path) -> None:
    net = paddle.nn.Sequential(paddle.nn.Embedding(8, 4), paddle.nn.Flatten(), paddle.nn.Linear(20, 3))
    found = splits(_data(tmp_path), IDS, seed=0)
    with pytest.raises(
        InvalidInput, match=r"spec.data: the model cannot run on what the data give: .* but got"
    ):
        answered(found, net, Evaluation(metric="agreement", form="classes"))
