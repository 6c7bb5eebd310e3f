"""Text to token ids, and characters to classes."""

from __future__ import annotations

from pathlib import Path

import pytest

from secateur_jobs.data.charset import Encoder, characters
from secateur_jobs.data.tokens import Tokenizer, read_vocabulary

_VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "play", "##ing", "##ed", "good", "中", "国", ",", "!"]


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("Playing good", [2, 4, 5, 7, 3, 0, 0, 0]),
        ("good, played!", [2, 7, 10, 4, 6, 11, 3, 0]),
        ("中国good", [2, 8, 9, 7, 3, 0, 0, 0]),
        ("Góod\u200b \ufeffgood", [2, 7, 7, 3, 0, 0, 0, 0]),
        ("player", [2, 1, 3, 0, 0, 0, 0, 0]),
        ("good good good good good good good", [2, 7, 7, 7, 7, 7, 7, 3]),
    ],
)
def test_words_are_taken_apart_by_the_longest_tokens(text: str, ids: list[int]) -> None:
    assert Tokenizer(_VOCABULARY).ids(text, 8) == ids


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[PAD]\n[UNK]\n[CLS]\n[SEP]\na\nb\na\n", "line 7: 'a' is already in line 5"),
        ("[PAD]\n[UNK]\na\n", r"lacks \[CLS\], \[SEP\]"),
        ("a\n[PAD]\n[UNK]\n[CLS]\n[SEP]\n", r"line 1: 'a'; it must be \[PAD\]"),
    ],
)
def test_a_vocabulary_that_does_not_serve(tmp_path: Path, content: str, words: str) -> None:
    path = tmp_path / "vocab.txt"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=words):
        read_vocabulary(path)


def test_a_dictionary_of_paddleocr_s_form(tmp_path: Path) -> None:
    path = tmp_path / "keys.txt"
    path.write_bytes("一\r\n二\n\u3000\n".encode())
    known = characters(str(path), space=True)
    assert known == ("一", "二", "\u3000", " ")
    assert Encoder(known)("二 一") == [2, 4, 1]


def test_a_set_of_another_name_and_an_empty_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no set is named 'digit'; did you mean 'digits'"):
        characters("digit")
    (tmp_path / "none.txt").write_text("")
    with pytest.raises(ValueError, match="is empty"):
        characters(str(tmp_path / "none.txt"))
