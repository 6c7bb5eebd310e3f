"""The user's modules run from what is in their source, and are known by it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

from secateur_jobs.runtime.users_modules import changed

_PROGRAM = """
import importlib, json, sys
from secateur_jobs.runtime import users_modules
users_modules.run_from_source()
values = [importlib.import_module(name).VALUE for name in sys.argv[1:]]
import json, numpy
known = users_modules.imported()
print(json.dumps({"values": values, "known": {n: [str(one.file), one.digest] for n, one in known.items()}}))
"""


def _run(*names: str, path: Path, **environment: str) -> dict[str, Any]:
    env = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    env["PYTHONPATH"] = os.pathsep.join([str(path), env.get("PYTHONPATH", "")])
    program = [sys.executable, "-c", _PROGRAM, *names]
    ended = subprocess.run(
        program, env={**env, **environment}, capture_output=True, text=True, check=True, timeout=60
    )
    found: dict[str, Any] = json.loads(ended.stdout)
    return found


def test_a_source_of_the_same_size_and_second_is_another_one(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("VALUE = 1\n")
    plain = [sys.executable, "-c", "import mine"]  # as the user's own Python did, which leaves it compiled
    env = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    subprocess.run(plain, env={**env, "PYTHONPATH": str(tmp_path)}, check=True)
    assert list(tmp_path.glob("__pycache__/mine.*"))
    before, time = _run("mine", path=tmp_path), file.stat().st_mtime_ns
    file.write_text("VALUE = 2\n")
    os.utime(file, ns=(time, time))
    after = _run("mine", path=tmp_path)
    assert (before["values"], after["values"]) == ([1], [2])
    assert before["known"]["mine"] != after["known"]["mine"]


def test_namespaces_and_archives_count_and_what_is_installed_does_not(tmp_path: Path) -> None:
    (tmp_path / "space" / "inner").mkdir(parents=True)
    (tmp_path / "space" / "inner" / "leaf.py").write_text("VALUE = 3\n")
    archive = tmp_path / "packed.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("packed.py", "VALUE = 4\n")
    found = _run("space.inner.leaf", "packed", path=tmp_path / "packed.zip", PYTHONPATH=_both(tmp_path))
    assert found["values"] == [3, 4]
    assert {name: one[0] for name, one in found["known"].items()} == {
        "space.inner.leaf": str(tmp_path / "space" / "inner" / "leaf.py"),
        "packed": str(archive),
    }


def _both(folder: Path) -> str:
    return os.pathsep.join([str(folder), str(folder / "packed.zip"), os.environ.get("PYTHONPATH", "")])


def test_what_was_run_is_compared_with_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("VALUE = 1\n")
    before = dict([_run("mine", path=tmp_path)["known"]["mine"]])
    assert changed(before) is None
    (tmp_path / "mine.py").write_text("VALUE = 2\n")
    assert changed(before) == str(tmp_path / "mine.py")
    (tmp_path / "mine.py").unlink()
    assert changed(before) is None
