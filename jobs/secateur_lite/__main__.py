"""``python -m secateur_lite COMMAND [JSON]``: one command per process; see :data:`COMMANDS`."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from secateur_lite import bench, opt, runtimes
from secateur_lite.wire import Wire

COMMANDS: dict[str, Callable[[Wire, dict[str, Any]], None]] = {
    "opt": opt.command,
    "run": bench.run,
    "bench": bench.bench,
    "memory": bench.memory,
    "versions": runtimes.versions,
}
_PR_SET_PDEATHSIG = 1


def _die_with_parent() -> None:
    """A killed stage must not leave a converter or a benchmark behind (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def main() -> int:
    """Run one command; the answer goes to the original stdout, all other output to stderr."""
    if len(sys.argv) not in (2, 3) or sys.argv[1] not in COMMANDS:
        print(f"usage: python -m secateur_lite {{{','.join(COMMANDS)}}} [JSON]", file=sys.stderr)  # noqa: T201
        return 64
    _die_with_parent()
    answers = os.dup(1)
    os.dup2(2, 1)  # paddlelite prints to stdout; answers must not mix with that
    with Wire(sys.stdin.buffer, os.fdopen(answers, "wb")) as wire:
        COMMANDS[sys.argv[1]](wire, json.loads(sys.argv[2]) if len(sys.argv) == 3 else {})
    return 0


if __name__ == "__main__":
    sys.exit(main())
