"""A user's code comes in an archive that may be anything, and may carry names that are taken."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from secateur_api.code_digest import hiding
from secateur_api.conditions import Reason
from secateur_jobs.runtime import code_path
from secateur_jobs.runtime.errors import InvalidInput


def _zip(folder: Path, files: dict[str, bytes]) -> Path:
    path = folder / "code.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in files.items():
            file.writestr(name, content)
    return path


def _refused(archive: Path, folder: Path, *words: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        code_path.unpacked(archive, folder / "out", "code.zip")
    assert caught.value.reason is Reason.CODE_NOT_FOUND
    for word in ("spec.code.uri: code.zip", *words):
        assert word in caught.value.message


def test_files_keep_their_places(tmp_path: Path) -> None:
    out = code_path.unpacked(
        _zip(tmp_path, {"net.py": b"x = 1\n", "pack/data.txt": b"1"}), tmp_path / "o", "c"
    )
    assert (out / "net.py").read_bytes() == b"x = 1\n"
    assert (out / "pack" / "data.txt").read_bytes() == b"1"


def test_a_bomb_is_refused_by_what_it_declares(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code_path, "MAX_BYTES", 1 << 20)
    _refused(_zip(tmp_path, {"net.py": bytes(2 << 20)}), tmp_path, "unpacked; code may have")
    assert not (tmp_path / "out").exists()


def test_a_bomb_is_refused_by_what_it_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = _zip(tmp_path, {"net.py": bytes(2 << 20)})
    size = (2 << 20).to_bytes(4, "little")
    archive.write_bytes(archive.read_bytes().replace(size, (10).to_bytes(4, "little")))
    monkeypatch.setattr(code_path, "MAX_BYTES", 1 << 20)
    with pytest.raises(InvalidInput):
        code_path.unpacked(archive, tmp_path / "out", "code.zip")
    assert sum(file.stat().st_size for file in (tmp_path / "out").iterdir()) <= 1 << 20


@pytest.mark.parametrize("name", ["../outside.py", "/outside.py", "a/../../outside.py"])
def test_a_file_outside_is_refused(tmp_path: Path, name: str) -> None:
    _refused(_zip(tmp_path, {name: b""}), tmp_path, "outside the code's folder")
    assert not (tmp_path / "outside.py").exists()


def test_too_many_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code_path, "MAX_FILES", 2)
    _refused(_zip(tmp_path, {f"{n}.py": b"" for n in range(3)}), tmp_path, "3 files")


def test_no_archive_and_a_damaged_one(tmp_path: Path) -> None:
    text = tmp_path / "code.zip"
    text.write_text("no zip")
    _refused(text, tmp_path, "is no wheel or zip")
    archive = _zip(tmp_path, {"net.py": b"x = 1\n" * 99})
    content = bytearray(archive.read_bytes())
    content[40:50] = bytes(10)
    archive.write_bytes(content)
    _refused(archive, tmp_path)


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (["statistics.py"], "statistics.py hides Python's own module statistics"),
        (["random/__init__.py"], "random/ hides Python's own module random"),
        (["numpy.py"], "numpy.py hides the installed module numpy"),
        (["yaml/__init__.py"], "yaml/ hides the installed module yaml"),
        (["signal.cpython-311-x86_64-linux-gnu.so"], "hides Python's own module signal"),
        (["net.py", "pack/statistics.py", "random.txt", "code/net.py", "test.py"], None),
    ],
)
def test_names_that_are_taken(tmp_path: Path, files: list[str], said: str | None) -> None:
    for name in files:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    found = hiding(tmp_path)
    assert (found is None) if said is None else (found is not None and said in found and "rename" in found)
