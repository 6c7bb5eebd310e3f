"""Texts without labels in a file, one a line, as the token ids that a BERT-like model takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from secateur_api.conditions import Reason
from secateur_api.spec import DType, InputSpec, Lines, Model
from secateur_api.uri import redacted
from secateur_jobs.data.apart import apart, in_memory, too_few
from secateur_jobs.data.tokens import Tokenizer, vocabulary_of
from secateur_jobs.paddle_env import paddle
from secateur_jobs.runtime.errors import InvalidInput
from secateur_jobs.runtime.files import read_named
from secateur_jobs.training.batching import NO_LABEL
from secateur_jobs.user_code import Splits

FIELD = "spec.data.lines"
Filling = Callable[[np.ndarray], np.ndarray]
"""Makes an input of a text's ids [length], 0 where it is padded."""
_TYPES, _IDS = ("type", "segment", "sent"), ("id", "token", "word")


class Texts(paddle.io.Dataset):
    """Items (input..., no label) of some texts; each is taken apart when it is asked for."""

    def __init__(self, texts: Sequence[str], tokenizer: Tokenizer, inputs: Sequence[InputSpec]) -> None:
        super().__init__()
        self._texts, self._tokenizer = texts, tokenizer
        self._length = inputs[0].shape[1]
        self._inputs = [(one.dtype.value, _filling(one, len(inputs) == 1)) for one in inputs]

    def __len__(self) -> int:
        return len(self._texts)

    def __getitem__(self, index: int) -> tuple[np.ndarray, ...]:
        ids = np.array(self._tokenizer.ids(self._texts[index], self._length), np.int64)
        return (*(fill(ids).astype(dtype) for dtype, fill in self._inputs), NO_LABEL)


def splits(lines: Lines, model: Model, seed: int) -> Splits:
    """Return (train, eval) of the texts; which is for what depends on ``seed`` and their number alone.

    Raises InvalidInput(DATASET_INVALID) for files that are no UTF-8, a vocabulary that does not serve, fewer
    than two texts, or inputs that do not say what they are; MissingData for no file.
    """
    texts = _texts(lines)
    if len(texts) < 2:
        raise _refused(f"{redacted(lines.uri)} has {too_few(len(texts), 'text')}")
    tokenizer = Tokenizer(_vocabulary(lines), lower=not lines.vocabulary.cased)
    if sum(_filling(one, len(model.inputs) == 1) is _ids for one in model.inputs) != 1:
        raise _unclear(f"{len(model.inputs)} inputs, {', '.join(one.name for one in model.inputs)}")
    parts = apart(len(texts), lines.eval_share, seed)
    train, measured = (Texts([texts[i] for i in part], tokenizer, model.inputs) for part in parts)
    return in_memory(train, measured, len(texts) * len(model.inputs) * model.inputs[0].shape[1] * 8)


def _texts(lines: Lines) -> list[str]:
    """Return the lines that are not blank."""
    invalid = Reason.DATASET_INVALID
    content = read_named(lines.uri, lines.sha256, FIELD, invalid, invalid)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise _refused(f"{redacted(lines.uri)}, line {line} is not UTF-8 text") from None
    # not splitlines: it also splits at characters that a text may have
    return [line for line in text.split("\n") if line.strip()]


def _vocabulary(lines: Lines) -> list[str]:
    named, invalid = lines.vocabulary, Reason.DATASET_INVALID
    content = read_named(named.uri, named.sha256, f"{FIELD}.vocabulary", invalid, invalid)
    try:
        return vocabulary_of(content, redacted(named.uri))
    except ValueError as error:
        raise InvalidInput(invalid, f"{FIELD}.vocabulary: {error}") from None


# ---- what an input is ----


def _filling(one: InputSpec, is_only: bool) -> Filling:
    """Return what fills an input, by its name; the only one of a model has the ids."""
    name = one.name.lower()
    if "mask" in name and not is_only:
        return _mask
    found = _types if any(word in name for word in _TYPES) and not is_only else _ids
    if found is _ids and not is_only and not any(word in name for word in _IDS):
        raise _unclear(repr(one.name))
    if one.dtype is DType.FLOAT32:
        raise _refused(f"spec.model.inputs ({one.name}) is float32; token ids are int64 or int32")
    return found


def _ids(ids: np.ndarray) -> np.ndarray:
    return ids


def _types(ids: np.ndarray) -> np.ndarray:
    return np.zeros_like(ids)


def _mask(ids: np.ndarray) -> np.ndarray:
    return ids != 0


def _unclear(what: str) -> InvalidInput:
    return _refused(
        f"spec.model.inputs has {what}, of which one must be the token ids (such as input_ids), others token "
        "types (token_type_ids) or a mask (attention_mask); name them so"
    )


def _refused(problem: str) -> InvalidInput:
    return InvalidInput(Reason.DATASET_INVALID, f"{FIELD}: {problem}")
