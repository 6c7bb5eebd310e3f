"""The characters of a text recogniser. Class 0 is the blank of CTC; character k is class k + 1."""

from __future__ import annotations

import string
from pathlib import Path

from secateur_jobs.explain import near

NAMED = {
    "digits": string.digits,
    "id_number": f"{string.digits}X",
    "alphanumeric": string.digits + string.ascii_lowercase,
    "names": f"{string.ascii_letters} -'.",
}
"""Sets that need no file; ``alphanumeric`` is PaddleOCR's default, in its order."""


def characters(charset: str, space: bool = False) -> tuple[str, ...]:
    """Return the characters of a named set, or of a dictionary file: UTF-8 text, one character a line.

    A name that ends in ``.txt`` is a file, in the form of PaddleOCR's ``ppocr_keys_v1.txt``. ``space``
    appends a blank space as the last character (PaddleOCR's ``use_space_char``).

    Raises ValueError for an unknown name, or a file that is no UTF-8 or empty; FileNotFoundError.
    """
    if charset.endswith(".txt"):
        found = _dictionary(Path(charset))
    elif charset in NAMED:
        found = list(NAMED[charset])
    else:
        raise ValueError(f"charset: no set is named {charset!r}{near(charset, NAMED)}; a file ends in .txt")
    if space and " " not in found:
        found.append(" ")
    return tuple(found)


def _dictionary(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"charset: {path} is not UTF-8 text (byte {error.start})") from None
    # not splitlines: it also splits at characters that a dictionary may list
    lines = [line.rstrip("\r") for line in text.split("\n")]
    if lines[-1] == "":
        lines.pop()
    if not lines:
        raise ValueError(f"charset: {path} is empty; it must have one character a line")
    return lines


class Encoder:
    """Turns text into rows of class numbers."""

    def __init__(self, known: tuple[str, ...]) -> None:
        self._classes = {character: index + 1 for index, character in enumerate(known)}

    def __call__(self, text: str) -> list[int]:
        """Return the classes of a text; raises ValueError naming the first character that is not known."""
        if not text:
            raise ValueError("a line without text")
        missing = next((character for character in text if character not in self._classes), None)
        if missing is not None:
            raise ValueError(f"{missing!r} in {text!r} is not among the {len(self._classes)} characters")
        return [self._classes[character] for character in text]
