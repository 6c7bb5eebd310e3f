"""Where lines go: a terminal of any encoding, a pipe that ends early, a full disk, or nowhere at all.

No line that cannot be written ends a job: what was measured is worth more than what is said of it.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
from typing import Any


class Lossy:
    """A text stream whose first failure is remembered; what is written after it is dropped."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._error: OSError | None = None

    def write(self, text: str) -> int:
        """Write, if it can be."""
        self._try(lambda: self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        """Write what waits, if it can be."""
        self._try(self._stream.flush)

    def take_loss(self) -> str:
        """Say once why output was lost; nothing if none was, or its reader had enough (``| head``)."""
        self.flush()
        error, self._error = self._error, None
        if error is None:
            return ""
        self._stream = open(os.devnull, "w")  # noqa: SIM115  (until the process ends)
        return "" if error.errno == errno.EPIPE else error.strerror or str(error)

    def _try(self, call: Any) -> None:
        if self._error is None:
            try:
                call()
            except OSError as error:
                self._error = error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def make_lossy() -> None:
    """Make stdout and stderr of this process such streams."""
    for number in (0, 1, 2):  # a closed one's number would go to the next file that is opened
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name) or open(os.devnull, "w")  # noqa: SIM115
        if isinstance(stream, io.TextIOWrapper):  # what its encoding has not is written as \\u....
            with contextlib.suppress(OSError):
                stream.reconfigure(errors="backslashreplace")
        setattr(sys, name, Lossy(stream))


def take_loss() -> str:
    """Say why output to stdout was lost; nothing if none was."""
    return sys.stdout.take_loss() if isinstance(sys.stdout, Lossy) else ""
