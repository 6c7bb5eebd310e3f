"""Prometheus' own checker; Debian's package ``prometheus`` has it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest


def check_rules(file: Path) -> None:
    """Fail if promtool finds anything wrong in a file of rules."""
    _run("check", "rules", str(file))


def run_unit_tests(file: Path) -> None:
    """Fail if a unit test of rules fails."""
    _run("test", "rules", str(file))


def _run(*arguments: str) -> None:
    tool = shutil.which("promtool")
    if tool is None:
        pytest.skip("promtool is not on the PATH (apt-get install prometheus)")
    done = subprocess.run([tool, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
