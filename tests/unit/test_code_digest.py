"""The digest that ties a job to the user's code."""

from __future__ import annotations

from pathlib import Path

import pytest

from secateur_api.code_digest import code_sha256


def _folder(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_equal_python_files_give_an_equal_digest_wherever_they_are(tmp_path: Path) -> None:
    files = {"net.py": "x = 1\n", "pack/data.py": "y = 2\n"}
    first = _folder(tmp_path / "a", files)
    second = _folder(
        tmp_path / "b", {**files, "notes.txt": "not code", ".venv/lib.py": "z", "__pycache__/n.pyc": ""}
    )
    assert code_sha256(first) == code_sha256(second)


@pytest.mark.parametrize(
    "changed",
    [
        {"net.py": "x = 2\n", "pack/data.py": "y = 2\n"},
        {"net2.py": "x = 1\n", "pack/data.py": "y = 2\n"},
        {"net.py": "x = 1\ny = 2\n", "pack/data.py": ""},
        {"net.py": "x = 1\n"},
    ],
)
def test_any_change_of_a_python_file_changes_the_digest(tmp_path: Path, changed: dict[str, str]) -> None:
    before = code_sha256(_folder(tmp_path / "a", {"net.py": "x = 1\n", "pack/data.py": "y = 2\n"}))
    assert code_sha256(_folder(tmp_path / "b", changed)) != before


def test_an_archive_has_the_digest_of_its_bytes(tmp_path: Path) -> None:
    archive = tmp_path / "code.zip"
    archive.write_bytes(b"abc")
    assert code_sha256(archive) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
