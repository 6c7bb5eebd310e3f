"""The tutorial as a reader runs it: files saved by the names that the page gives; and its notebook."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "tutorial.md").read_text()
pytestmark = [pytest.mark.paddle, pytest.mark.lite, pytest.mark.slow]


def run(command: list[str], folder: Path) -> str:
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=900, check=False, env={**os.environ}
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


NOTEBOOK = json.loads((ROOT / "docs" / "tutorial.ipynb").read_text())
FILES = dict(
    zip(
        re.findall(r"[Ss]ave this as `([\w.]+)`", PAGE),
        re.findall(r"```(?:python|yaml)\n(.*?)```", PAGE, re.DOTALL),
        strict=True,
    )
)


def in_the_notebook() -> str:
    """Return the notebook's code, as one program."""
    cells = (cell for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code")
    return "\n\n".join("".join(cell["source"]) for cell in cells)


def test_the_notebook_has_the_page_s_python() -> None:
    page = FILES["smaller.py"].replace("from mynet import MyNet, splits\n", FILES["mynet.py"])
    assert in_the_notebook().split() == page.split()
    assert not any(cell.get("outputs") for cell in NOTEBOOK["cells"])


def test_the_tutorial_runs(tmp_path: Path) -> None:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "notebook.py").write_text(in_the_notebook())  # which has the lines of mynet.py and smaller.py
    said = run([sys.executable, "-W", "ignore", "notebook.py"], tmp_path)
    assert re.search(r"^latency p50 .* -> .*x\), file .* metric 0\.\d+ -> 0\.\d+", said, re.MULTILINE)
    assert (tmp_path / "small.nb").stat().st_size < (tmp_path / "mynet-x86.nb").stat().st_size
    (commands,) = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    secateur = shutil.which("secateur", path=str(Path(sys.executable).parent))
    assert secateur is not None
    for command in commands.splitlines():
        said = run([secateur, *command.split()[1:]], tmp_path)
    assert "mynet: Succeeded" in said
    assert ".nb" in said
