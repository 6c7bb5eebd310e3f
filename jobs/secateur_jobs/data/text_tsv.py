"""Texts with a label each, in files of ``label<TAB>text`` lines.

Items are (token ids int64 [length], class int64); classes are the training set's labels in sorted order.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from secateur_jobs.data.tokens import Tokenizer, read_vocabulary
from secateur_jobs.explain import near
from secateur_jobs.training.batching import ArrayDataset


def splits(
    train: str, eval: str, vocabulary: str, length: int = 64, lower: bool = True
) -> tuple[ArrayDataset, ArrayDataset]:
    """Return (train, eval) of two files, as ids of the tokens in the file ``vocabulary``.

    Texts are cut or padded to ``length`` tokens. Labels may be any text (numbers are sorted as numbers).

    Raises ValueError naming file and line for a line without a tab or a text, or a label that the training
    set lacks; FileNotFoundError.
    """
    if length < 3:
        raise ValueError(f"length is {length}; it must be 3 or more, two of them [CLS] and [SEP]")
    tokenizer = Tokenizer(read_vocabulary(vocabulary), lower)
    read = [read_lines(Path(path)) for path in (train, eval)]
    names = sorted({label for label, _ in read[0]}, key=_order)
    classes = {name: number for number, name in enumerate(names)}
    for number, (label, _) in enumerate(read[1], 1):
        if label not in classes:
            raise ValueError(
                f"{eval}, text {number}: label {label!r} is not in {train}{near(label, classes)}"
            )
    first, second = (_encoded(lines, classes, tokenizer, length) for lines in read)
    return first, second


def read_lines(path: Path) -> list[tuple[str, str]]:
    """Return (label, text) of each line that is not empty; raises ValueError naming the line."""
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8").replace("\r\n", "\n").split("\n"), 1):
        label, tab, text = line.partition("\t")
        if line and not (tab and text.strip() and label):
            raise ValueError(f"{path}, line {number}: {line[:60]!r}; it must be label<TAB>text")
        if line:
            found.append((label, text))
    if not found:
        raise ValueError(f"{path} has no text")
    return found


def _order(label: str) -> tuple[int, int, str]:
    return (0, int(label), label) if label.isdecimal() else (1, 0, label)


def _encoded(
    lines: Sequence[tuple[str, str]], classes: dict[str, int], tokenizer: Tokenizer, length: int
) -> ArrayDataset:
    ids = np.array([tokenizer.ids(text, length) for _, text in lines], np.int64)
    return ArrayDataset((ids, np.array([classes[label] for label, _ in lines], np.int64)))
