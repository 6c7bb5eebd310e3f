"""User code that goes wrong on demand, in one stage, in the ways that real user code does."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

from secateur_jobs.data import digits

HOLD = Path("/store/hold")
"""While it is there, ``hold`` waits."""


def splits(stage: str, how: str, **args: Any) -> tuple[Any, Any]:
    """Return the digits, unless this is the stage to go wrong in.

    ``how``: ``hold`` waits while the store has a file ``hold``; ``eat`` takes 900 MiB for a moment;
    ``die`` is killed; ``die-once`` is killed the first time; ``exit-N`` leaves with an exit code;
    ``break`` breaks Secateur itself.
    """
    if json.loads(os.environ["SECATEUR_INPUT"])["stage"] == stage:
        _go_wrong(how)
    return digits.splits(**args)


def _go_wrong(how: str) -> None:
    if how == "hold":
        while HOLD.exists():
            time.sleep(0.1)
    elif how == "eat":
        eaten = [b"x" * (1 << 20) for _ in range(900)]
        eaten.clear()
    elif how == "die-once":
        before = Path("/store/died")
        if not before.exists():
            before.touch()
            os.kill(os.getpid(), signal.SIGKILL)
    elif how == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    elif how.startswith("exit-"):
        os._exit(int(how.removeprefix("exit-")))
    elif how == "break":
        from secateur_jobs.data import check

        check._check_inputs = None
