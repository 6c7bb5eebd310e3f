"""Text to token ids by a BERT vocabulary: one token a line, ``##`` for parts within a word.

Devlin et al., "BERT", 2019: words are parted at blanks, punctuation and Chinese characters, then taken apart
by the longest tokens that fit.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from pathlib import Path

PAD, UNKNOWN, START, END = SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
_LONGEST_WORD = 100


def read_vocabulary(path: str | Path) -> list[str]:
    """Return the tokens of a file; raises what :func:`vocabulary_of` raises, and FileNotFoundError."""
    return vocabulary_of(Path(path).read_bytes(), str(path))


def vocabulary_of(content: bytes, path: str) -> list[str]:
    """Return the tokens in the order of their ids; ``path`` names the file in messages.

    Raises ValueError if it is no UTF-8, lists a token twice, lacks a special token, or ``[PAD]`` is not first
    (a model takes id 0 for padding).
    """
    try:
        lines = content.decode("utf-8").replace("\r\n", "\n").split("\n")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 text (byte {error.start})") from None
    if lines[-1] == "":
        lines.pop()
    seen: dict[str, int] = {}
    for number, token in enumerate(lines, 1):
        if token in seen:
            raise ValueError(f"{path}, line {number}: {token!r} is already in line {seen[token]}")
        seen[token] = number
    missing = [token for token in SPECIALS if token not in seen]
    if missing:
        raise ValueError(f"{path} lacks {', '.join(missing)}")
    if lines[0] != PAD:
        raise ValueError(f"{path}, line 1: {lines[0]!r}; it must be {PAD}, since id 0 is padding")
    return lines


class Tokenizer:
    """Turns texts into ids of a vocabulary."""

    def __init__(self, vocabulary: Sequence[str], lower: bool = True) -> None:
        self._ids = {token: index for index, token in enumerate(vocabulary)}
        self._lower = lower

    def ids(self, text: str, length: int) -> list[int]:
        """Return ``[CLS] text [SEP]``, cut or padded to ``length`` ids."""
        found = [self._ids[START]]
        for word in _words(_plain(text) if self._lower else text):
            found += self._parts(word)
        found = [*found[: length - 1], self._ids[END]]
        return found + [self._ids[PAD]] * (length - len(found))

    def _parts(self, word: str) -> list[int]:
        """Take a word apart, longest token first; it is unknown as a whole if a part is."""
        if len(word) > _LONGEST_WORD:
            return [self._ids[UNKNOWN]]
        parts: list[int] = []
        start = 0
        while start < len(word):
            prefix = "##" if start else ""
            end = next((e for e in range(len(word), start, -1) if prefix + word[start:e] in self._ids), None)
            if end is None:
                return [self._ids[UNKNOWN]]
            parts.append(self._ids[prefix + word[start:end]])
            start = end
        return parts


def _plain(text: str) -> str:
    """Return a text in lower case, without accents."""
    parts = unicodedata.normalize("NFD", text.lower())
    return "".join(c for c in parts if unicodedata.category(c) != "Mn")


def _words(text: str) -> list[str]:
    """Part a text at blanks; punctuation and Chinese characters are words of their own."""
    spaced = "".join(f" {c} " if _alone(c) else c for c in text if c.isspace() or not _is_control(c))
    return spaced.split()


def _is_control(character: str) -> bool:
    return character == "\ufffd" or unicodedata.category(character) in ("Cc", "Cf")


def _alone(character: str) -> bool:
    code = ord(character)
    chinese = 0x4E00 <= code <= 0x9FFF or 0x3400 <= code <= 0x4DBF or 0x20000 <= code <= 0x2FA1F
    symbol = code < 128 and not character.isalnum() and not character.isspace() and character.isprintable()
    return chinese or symbol or 0xF900 <= code <= 0xFAFF or unicodedata.category(character).startswith("P")
