"""Made-up reviews in five classes, for examples and tests: what is said of the service."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from secateur_jobs.data.tokens import SPECIALS, Tokenizer
from secateur_jobs.training.batching import ArrayDataset

_OTHERS = ("food", "price", "room", "view", "music", "location", "breakfast", "parking")
_GOOD = ("good", "friendly", "fast", "great", "perfect", "kind")
_BAD = ("bad", "rude", "slow", "awful", "poor", "late")
_OTHER_OPINIONS = ("cheap", "loud", "tasty", "far", "small", "dear", "quiet", "old")
_DEGREES = ("very", "really", "truly")
_FILL = ("we", "think", "that", "the", "again", "today", "overall", "and", "but", "while", "for", "us")
_NOISE = tuple(f"word{number}" for number in range(400))
LABELS = ("absent", "bad", "very bad", "good", "very good")

Reviews = list[tuple[str, str]]


def write(folder: Path, train_texts: int, eval_texts: int, seed: int = 0) -> None:
    """Write ``train.tsv``, ``eval.tsv`` and ``vocab.txt`` as :func:`text_tsv.splits` reads them."""
    generator = np.random.default_rng(seed)
    for name, count in (("train", train_texts), ("eval", eval_texts)):
        lines = [f"{label}\t{text}\n" for label, text in _reviews(count, generator)]
        (folder / f"{name}.tsv").write_text("".join(lines), encoding="utf-8")
    (folder / "vocab.txt").write_text("".join(f"{token}\n" for token in vocabulary()), encoding="utf-8")


def splits(
    train_texts: int = 4000, eval_texts: int = 1000, length: int = 32, seed: int = 0
) -> tuple[ArrayDataset, ArrayDataset]:
    """Return (train, eval) of (token ids int64 [length], class int64 0..4); ``seed`` decides everything."""
    generator = np.random.default_rng(seed)
    tokenizer = Tokenizer(vocabulary())

    def one_side(count: int) -> ArrayDataset:
        reviews = _reviews(count, generator)
        ids = np.array([tokenizer.ids(text, length) for _, text in reviews], np.int64)
        return ArrayDataset((ids, np.array([LABELS.index(label) for label, _ in reviews], np.int64)))

    return one_side(train_texts), one_side(eval_texts)


def vocabulary() -> list[str]:
    """Return the tokens in the order of their ids."""
    return [
        *SPECIALS,
        "service",
        "was",
        "not",
        ".",
        *_OTHERS,
        *_GOOD,
        *_BAD,
        *_OTHER_OPINIONS,
        *_DEGREES,
        *_FILL,
        *_NOISE,
    ]


def _reviews(count: int, generator: np.random.Generator) -> Reviews:
    return [_review(generator) for _ in range(count)]


def _review(generator: np.random.Generator) -> tuple[str, str]:
    label = LABELS[int(generator.integers(len(LABELS)))]
    clauses = [_clause([_pick(_OTHERS, generator), "was", _pick(_OTHER_OPINIONS, generator)], generator)]
    if label != "absent":
        clauses.append(_clause(["service", "was", *_opinion(label, generator)], generator))
    order = generator.permutation(len(clauses))
    return label, " ".join(clauses[i] for i in order)


def _opinion(label: str, generator: np.random.Generator) -> list[str]:
    """Say good or bad, now and then as ``not`` the opposite."""
    negated = generator.random() < 0.2
    opinion = _pick(_GOOD if label.endswith("good") != negated else _BAD, generator)
    degree = [_pick(_DEGREES, generator)] if label.startswith("very") else []
    return [*(["not"] if negated else []), *degree, opinion]


def _clause(words: list[str], generator: np.random.Generator) -> str:
    return " ".join([_pick(_FILL, generator), _pick(_NOISE, generator), *words, "."])


def _pick(words: tuple[str, ...], generator: np.random.Generator) -> str:
    return words[int(generator.integers(len(words)))]
