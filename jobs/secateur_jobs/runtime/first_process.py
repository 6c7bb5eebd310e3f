"""Process 1 of a container: it has duties that Python does not know of, and signals pass it by."""

from __future__ import annotations

import os
import signal
from types import FrameType

_ENDING = (signal.SIGTERM, signal.SIGINT)


def work_in_a_child() -> None:
    """In process 1, stay behind as the init of a child, in which this function returns; elsewhere do nothing.

    The kernel spares process 1 the signals that it has no handler for, and Python runs a handler only between
    two calls into C, which may be minutes apart. This process only waits, so it ends at once when it is asked
    to (exit code 128 + signal), and the kernel kills all others of the container with it. That is safe: what
    a stage commits, it commits whole. Also reaps processes that lost their parent.
    """
    if os.getpid() != 1:
        return
    before = {number: signal.signal(number, _end) for number in _ENDING}
    child = os.fork()
    if child == 0:
        for number, handler in before.items():
            signal.signal(number, handler)
        return
    os._exit(_code_of(child))


def _code_of(child: int) -> int:
    """Wait for the child; return its exit code as a shell shows it."""
    while True:
        pid, status = os.wait()
        if pid == child:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


def _end(number: int, _frame: FrameType | None) -> None:
    os._exit(128 + number)
