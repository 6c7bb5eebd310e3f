"""The digest that ties a job to the user's code."""

from __future__ import annotations

from pathlib import Path

import pytest

from secateur_api.code_digest import APART, apart, code_sha256, newest


def _folder(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_equal_files_give_an_equal_digest_wherever_they_are(tmp_path: Path) -> None:
    files = {"net.py": "x = 1\n", "pack/data.py": "y = 2\n", "labels.json": "[1]"}
    first = _folder(tmp_path / "a", files)
    more = {".git/HEAD": "x", ".venv/lib.py": "z", ".venv/pyvenv.cfg": "", "__pycache__/n.pyc": ""}
    more |= {
        "pack/old.pyc": "",
        "run.log": "l",
        ".pytest_cache/v": "1",
        ".net.py.swp": "",
        "net.py~": "",
        ".secateur/lock": "",
    }
    more |= {"tables/CACHEDIR.TAG": "", "tables/1.npy": "1"}
    home = {"results/lock": "1", "results/store/units/a/result.json": "{}", "results/jobs/b": ""}
    second = _folder(tmp_path / "b", {**files, **more, **home})
    (second / "pack" / "round").symlink_to(second)  # a link back ends
    (second / "gone.txt").symlink_to(second / "nowhere")
    assert code_sha256(first) == code_sha256(second)


def test_files_behind_links_count(tmp_path: Path) -> None:
    data = _folder(tmp_path / "data", {"table.csv": "1"})
    code = _folder(tmp_path / "code", {"net.py": "x = 1\n"})
    (code / "data").symlink_to(data)
    before = code_sha256(code)
    (data / "table.csv").write_text("2")
    assert code_sha256(code) != before


@pytest.mark.parametrize(
    "changed",
    [
        {"net.py": "x = 2\n", "pack/data.py": "y = 2\n"},
        {"net2.py": "x = 1\n", "pack/data.py": "y = 2\n"},
        {"net.py": "x = 1\ny = 2\n", "pack/data.py": ""},
        {"net.py": "x = 1\n"},
        {"net.py": "x = 1\n", "pack/data.py": "y = 2\n", "labels.json": "[1]"},
        {"net.py": "x = 1\n", "pack/data.py": "y = 2\n", "fast.so": ""},
        {"net.py": "x = 1\n", "pack/data.py": "y = 2\n", ".labels.json": "[1]"},
        {"net.py": "x = 1\n", "pack/data.py": "y = 2\n", ".tables/labels.json": "[1]"},
    ],
)
def test_any_change_of_a_file_changes_the_digest(tmp_path: Path, changed: dict[str, str]) -> None:
    before = code_sha256(_folder(tmp_path / "a", {"net.py": "x = 1\n", "pack/data.py": "y = 2\n"}))
    assert code_sha256(_folder(tmp_path / "b", changed)) != before


def test_the_jobs_own_file_and_what_the_command_writes_are_no_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = _folder(tmp_path / "code", {"net.py": "x = 1\n", "job.yaml": "a", "other.yaml": "b"})
    monkeypatch.setenv(APART, apart(code / "job.yaml"))
    before = code_sha256(code)
    (code / "job.yaml").write_text("another target")
    assert code_sha256(code) == before
    (code / "other.yaml").write_text("c")
    assert code_sha256(code) != before
    assert newest(code) == "other.yaml"


def test_an_archive_has_the_digest_of_its_bytes(tmp_path: Path) -> None:
    archive = tmp_path / "code.zip"
    archive.write_bytes(b"abc")
    assert code_sha256(archive) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
