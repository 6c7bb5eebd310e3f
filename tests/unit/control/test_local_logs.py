"""A stage that prints without end leaves a log of a few MiB, in which progress and last words are found."""

from __future__ import annotations

from pathlib import Path

from secateur_api.stage import PROGRESS_PREFIX
from secateur_operator.gateway.local import child


def test_a_long_log_loses_its_middle(tmp_path: Path) -> None:
    path = tmp_path / "0.log"
    with path.open("ab") as writer:  # as a stage's process holds it
        writer.write(b"first line\n")
        writer.writelines(b"%08d %s\n" % (n, b"x" * 1000) for n in range(10_000))
        writer.write(PROGRESS_PREFIX.encode() + b"{1}\n")
        writer.flush()
        child.shorten(path)
        assert path.stat().st_size < 3 << 20
        writer.write(b"last words\n")
    text = path.read_text()
    assert text.startswith("first line\n00000000 ")
    assert "bytes of this log were left out" in text
    assert "00009999 x" in text
    assert child.newest_progress(path) == "{1}"
    assert child.last_words(path) == "last words"


def test_a_short_log_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "0.log"
    path.write_text("a line\n")
    child.shorten(path)
    assert path.read_text() == "a line\n"
    child.shorten(tmp_path / "none")
