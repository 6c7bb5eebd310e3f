"""Text classification: PaddleNLP's names, texts in TSV files, and a vocabulary without what is never used."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from secateur_api.spec import Data, Evaluation, Weights
from secateur_jobs.data import sentences, text_tsv, vocabulary
from secateur_jobs.data.tokens import SPECIALS, Tokenizer
from secateur_jobs.paddle_env import paddle
from secateur_jobs.runtime.errors import InvalidInput, MissingData
from secateur_jobs.training.evaluate import evaluate
from secateur_jobs.training.forward import forward
from secateur_jobs.training.seeding import seed_everything
from secateur_jobs.training.train import train
from secateur_jobs.user_code import load_data
from secateur_jobs.weights import load_weights
from secateur_jobs.zoo.ernie import ErnieClassifier, ernie_classifier

pytestmark = pytest.mark.paddle

_NANO = Path(__file__).parent / "fixtures" / "ernie-3.0-nano-zh.json"


def _small(vocab_size: int, seed: int = 0) -> ErnieClassifier:
    seed_everything(seed)
    net = ernie_classifier(5, vocab_size, hidden=16, layers=1, heads=2, ffn=32, positions=32, tasks=0)
    net.eval()
    return net


def test_names_and_shapes_are_those_of_paddlenlp() -> None:
    own = {name: list(tensor.shape) for name, tensor in ernie_classifier(5).state_dict().items()}
    assert own.pop("ernie.embeddings.task_type_embeddings.weight") == [16, 312]
    assert own == json.loads(_NANO.read_text(encoding="utf-8"))["parameters"]


def test_padding_changes_nothing() -> None:
    net = _small(50)
    ids = np.array([[2, 7, 9, 3]])
    padded = np.concatenate([ids, np.zeros((1, 6), np.int64)], axis=1)
    np.testing.assert_allclose(
        forward(net, [ids]).given.numpy(), forward(net, [padded]).given.numpy(), atol=1e-6
    )


def test_a_classifier_learns() -> None:
    learning, checked = sentences.splits(train_texts=400, eval_texts=100)
    net = _small(len(sentences.vocabulary()))
    losses = train(net, learning, Evaluation(), epochs=4, learning_rate=0.01, batch_size=32)
    assert losses[-1] < losses[0]
    assert evaluate(net, checked, Evaluation()) > 0.3  # of 5 classes


def test_written_files_are_read_as_they_were_made(tmp_path: Path) -> None:
    sentences.write(tmp_path, train_texts=30, eval_texts=10, seed=3)
    args = {"train": "train.tsv", "eval": "eval.tsv", "vocabulary": "vocab.txt"}
    args = {name: str(tmp_path / file) for name, file in args.items()}
    read = load_data(Data(factory="secateur_jobs.data.text_tsv:splits", args={**args, "length": 32}), 1)
    made = sentences.splits(30, 10, length=32, seed=3)
    for own, other in zip(read, made, strict=True):
        np.testing.assert_array_equal(own.arrays[0], other.arrays[0])
    names = sorted(sentences.LABELS)  # a file's classes are its labels in sorted order
    np.testing.assert_array_equal(
        [names[i] for i in read.train.arrays[1]], [sentences.LABELS[i] for i in made[0].arrays[1]]
    )


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"train.tsv": "good text\n"}, InvalidInput, "train.tsv, line 1: 'good text'; it must be label<TAB>"),
        ({"train.tsv": "1\ta\n2\t \n"}, InvalidInput, "train.tsv, line 2: "),
        ({"eval.tsv": "3\tb\n"}, InvalidInput, "eval.tsv, text 1: label '3' is not in "),
        ({"vocab.txt": "[PAD]\n"}, InvalidInput, "vocab.txt lacks [UNK], [CLS], [SEP]"),
        ({"eval.tsv": None}, MissingData, "eval.tsv"),
    ],
)
def test_files_that_do_not_serve(
    tmp_path: Path, changes: dict[str, str | None], error: type[Exception], words: str
) -> None:
    files = {"train.tsv": "1\ta\n2\tb\n", "eval.tsv": "1\tb\n", "vocab.txt": "\n".join([*SPECIALS, "a", "b"])}
    for name, content in {**files, **changes}.items():
        if content is not None:
            (tmp_path / name).write_text(content, encoding="utf-8")
    args = {"train": "train.tsv", "eval": "eval.tsv", "vocabulary": "vocab.txt"}
    args = {name: str(tmp_path / file) for name, file in args.items()}
    with pytest.raises(error) as caught:
        load_data(Data(factory="secateur_jobs.data.text_tsv:splits", args=args), 1)
    assert words in str(caught.value)


def test_labels_that_are_numbers_are_sorted_as_numbers(tmp_path: Path) -> None:
    (tmp_path / "t.tsv").write_text("10\ta\n9\ta\n0\ta\n", encoding="utf-8")
    (tmp_path / "vocab.txt").write_text("\n".join([*SPECIALS, "a"]), encoding="utf-8")
    train_set, _ = text_tsv.splits(*(str(tmp_path / "t.tsv"),) * 2, str(tmp_path / "vocab.txt"), length=4)
    np.testing.assert_array_equal(train_set.arrays[1], [2, 1, 0])


def _drop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, weights: Path) -> None:
    arguments = {"--vocabulary": "vocab.txt", "--texts": "train.tsv", "--into": "small"}
    command = [word for option, file in arguments.items() for word in (option, str(tmp_path / file))]
    monkeypatch.setattr(sys, "argv", ["vocabulary", *command, "--weights", str(weights)])
    vocabulary.main()


def test_without_unused_tokens_the_outputs_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sentences.write(tmp_path, train_texts=40, eval_texts=1)
    tokens = sentences.vocabulary()
    whole = _small(len(tokens))
    paddle.save(whole.state_dict(), str(tmp_path / "whole.pdparams"))
    _drop(tmp_path, monkeypatch, tmp_path / "whole.pdparams")
    kept = (tmp_path / "small" / "vocab.txt").read_text(encoding="utf-8").split()
    assert len(kept) < 0.6 * len(tokens)
    assert capsys.readouterr().out == f"{len(kept)} of {len(tokens)} tokens stay: vocab_size: {len(kept)}\n"
    small = _small(len(kept), seed=1)
    load_weights(small, Weights(uri=str(tmp_path / "small" / "weights.safetensors")))
    for _, text in text_tsv.read_lines(tmp_path / "train.tsv")[:8]:
        outputs: list[Any] = [
            forward(net, [np.array([Tokenizer(known).ids(text, 32)])]).given.numpy()
            for net, known in ((whole, tokens), (small, kept))
        ]
        np.testing.assert_array_equal(*outputs)


def test_weights_of_another_vocabulary_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sentences.write(tmp_path, train_texts=4, eval_texts=1)
    np.savez(tmp_path / "w.npz", **{vocabulary.EMBEDDING: np.zeros((7, 2), np.float32)})
    with pytest.raises(SystemExit):
        _drop(tmp_path, monkeypatch, tmp_path / "w.npz")
    assert "has 7 rows, the vocabulary 451 tokens" in capsys.readouterr().err
