"""The command ``secateur`` itself, whatever it is asked to do."""

from __future__ import annotations

import subprocess
import sys

_ENDS = """
import os, signal
from secateur_operator import cli
try:
    cli.main()
finally:
    os.kill(os.getpid(), signal.SIGINT)
"""


def test_an_interrupt_after_the_last_word_changes_nothing() -> None:
    command = [sys.executable, "-c", _ENDS, "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip()
