"""Drop the tokens that the data never use: of a small text model the embedding is most of the file.

    python -m secateur_jobs.data.vocabulary --vocabulary vocab.txt --texts train.tsv --texts more.tsv \\
        --weights model_state.pdparams --into FOLDER

writes ``FOLDER/vocab.txt`` and ``FOLDER/weights.safetensors``, the rows of the word embedding that stay. On a
text whose tokens all stay the model gives the same outputs as before; others become ``[UNK]``. Name both
files in the job, with the new ``vocab_size`` in ``spec.model.args``.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import safetensors.numpy

from secateur_jobs.array_file import parse
from secateur_jobs.data.text_tsv import read_lines
from secateur_jobs.data.tokens import SPECIALS, Tokenizer, read_vocabulary
from secateur_jobs.runtime.errors import InvalidInput

_MOST_BYTES = 8 << 30
"""More is no text model that is made smaller for a phone."""
EMBEDDING = "embeddings.word_embeddings.weight"
"""Of a bare encoder; a classifier's name has ``ernie.`` before it."""


def used(vocabulary: Sequence[str], texts: Iterable[str], lower: bool = True) -> np.ndarray:
    """Return the ids, ascending, of the special tokens and of those that occur in ``texts``; int64."""
    tokenizer = Tokenizer(vocabulary, lower)
    special = {vocabulary.index(token) for token in SPECIALS}
    found = {i for text in texts for i in tokenizer.ids(text, 2 * len(text) + 2)}
    return np.array(sorted(special | found), np.int64)


def keep_rows(weights: dict[str, np.ndarray], ids: np.ndarray, size: int) -> dict[str, np.ndarray]:
    """Return the weights with these rows of the word embedding only.

    Raises ValueError if there is no such embedding or it has not ``size`` rows.
    """
    name = next((name for name in (f"ernie.{EMBEDDING}", EMBEDDING) if name in weights), None)
    if name is None:
        raise ValueError(f"the weights have no {EMBEDDING}; they must be those of zoo.ernie or PaddleNLP")
    rows = len(weights[name])
    if rows != size:
        raise ValueError(f"{name} has {rows} rows, the vocabulary {size} tokens")
    return {**weights, name: np.ascontiguousarray(weights[name][ids])}


def main() -> None:
    """Read the command line and write both files; wrong input ends in one sentence."""
    parser = argparse.ArgumentParser(description="Drop the tokens that the data never use.")
    parser.add_argument("--vocabulary", type=Path, required=True)
    parser.add_argument(
        "--texts", type=Path, action="append", required=True, help="label<TAB>text; repeatable"
    )
    parser.add_argument("--weights", type=Path, required=True, help=".pdparams, .safetensors or .npz")
    parser.add_argument("--into", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--cased", action="store_true", help="the vocabulary tells upper from lower case")
    options = parser.parse_args()
    try:
        tokens = read_vocabulary(options.vocabulary)
        texts = [text for path in options.texts for _, text in read_lines(path)]
        ids = used(tokens, texts, not options.cased)
        weights = parse(options.weights.read_bytes(), str(options.weights), "--weights", _MOST_BYTES)
        kept = keep_rows(weights, ids, len(tokens))
    except (ValueError, OSError, InvalidInput) as error:
        parser.error(str(error))
    options.into.mkdir(parents=True, exist_ok=True)
    (options.into / "vocab.txt").write_text("".join(f"{tokens[i]}\n" for i in ids), encoding="utf-8")
    (options.into / "weights.safetensors").write_bytes(safetensors.numpy.save(kept))
    print(f"{len(ids)} of {len(tokens)} tokens stay: vocab_size: {len(ids)}")  # noqa: T201


if __name__ == "__main__":
    main()
