"""Child processes that may crash, hang or be killed: started, spoken to, and never left behind."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import struct
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np

from secateur_api.conditions import Reason
from secateur_jobs.runtime.errors import Retryable

Arrays = dict[str, np.ndarray]
_HEAD = struct.Struct("<cQ")
_TAIL = 8000


class ChildDied(Exception):
    """The child ended without an answer.

    ``returncode`` is negative for a signal, as in :mod:`subprocess`; ``output`` ends with what it printed
    last; ``limit`` is set if it was stopped for taking longer (seconds).
    """

    def __init__(self, returncode: int, output: str, limit: float | None) -> None:
        self.returncode = returncode
        self.output = output
        self.limit = limit
        super().__init__(self.how)

    @property
    def how(self) -> str:
        """How it ended, in words."""
        if self.limit is not None:
            return f"took longer than {self.limit:.0f} s and was stopped"
        if self.returncode < 0:
            return f"was ended by {signal.Signals(-self.returncode).name}"
        return f"ended with exit code {self.returncode}"

    @property
    def last_line(self) -> str:
        """The last line that it printed; for a Python error that is its message."""
        lines = [line.strip() for line in self.output.splitlines() if line.strip()]
        return lines[-1] if lines else ""

    def raise_if_fault(self, who: str) -> None:
        """Raise Retryable if it was killed or ran out of time: another attempt may do better."""
        if self.limit is not None or self.returncode in (-signal.SIGKILL, -signal.SIGTERM):
            hint = "" if self.limit is not None else " (often: out of memory)"
            raise Retryable(Reason.KILLED, f"{who} {self.how}{hint}")


class Child:
    """A child in a process group of its own, with messages in both directions.

    A message is one byte for its kind (``J`` JSON, ``N`` arrays by name as npz), eight bytes of length
    (little endian) and the content; nothing is pickled. The child's stderr is kept in a file.
    """

    def __init__(self, argv: Sequence[str | Path], env: Mapping[str, str], limit: float) -> None:
        """Start it; ``limit`` is the longest time in seconds that one answer may take."""
        self._limit = limit
        self._timed_out = False
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  (closed in __exit__)
        self._process = subprocess.Popen(
            [str(part) for part in argv],
            env=dict(env),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            start_new_session=True,
        )

    def __enter__(self) -> Child:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._log):
            with contextlib.suppress(BrokenPipeError):
                pipe.close()

    def send_arrays(self, arrays: Arrays) -> None:
        """Send arrays by name; raises ChildDied."""
        content = io.BytesIO()
        np.savez(content, **arrays)
        data = content.getvalue()
        with self._watched():
            try:
                self._stdin.write(_HEAD.pack(b"N", len(data)) + data)
                self._stdin.flush()
            except BrokenPipeError:
                raise self._death() from None

    def receive_json(self) -> dict[str, Any]:
        """Return the child's next message; raises ChildDied if it ends first."""
        return json.loads(self._receive(b"J"))

    def receive_arrays(self) -> Arrays:
        """Return the arrays of the child's next message; raises ChildDied if it ends first."""
        with np.load(io.BytesIO(self._receive(b"N")), allow_pickle=False) as found:
            return {name: found[name] for name in found.files}

    def finish(self) -> str:
        """Close its input, wait for its end, return what it printed; raises ChildDied if it failed."""
        with self._watched():
            with contextlib.suppress(BrokenPipeError):
                self._stdin.close()
            self._process.wait()
        if self._process.returncode != 0:
            raise self._death()
        return self._printed()

    @property
    def _stdin(self) -> IO[bytes]:
        if self._process.stdin is None:
            raise RuntimeError("the child has no stdin")
        return self._process.stdin

    def _receive(self, kind: bytes) -> bytes:
        with self._watched():
            head = self._read(_HEAD.size)
            got, size = _HEAD.unpack(head)
            content = self._read(size)
        if got != kind:
            raise RuntimeError(f"expected a message of kind {kind!r}, got {got!r}")
        return content

    def _read(self, size: int) -> bytes:
        if self._process.stdout is None:
            raise RuntimeError("the child has no stdout")
        content = self._process.stdout.read(size)
        if len(content) < size:
            raise self._death()
        return content

    @contextlib.contextmanager
    def _watched(self) -> Iterator[None]:
        timer = threading.Timer(self._limit, self._expire)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _expire(self) -> None:
        self._timed_out = True
        self._kill()

    def _kill(self) -> None:
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def _death(self) -> ChildDied:
        self._process.wait()
        limit = self._limit if self._timed_out else None
        return ChildDied(self._process.returncode, self._printed(), limit)

    def _printed(self) -> str:
        self._log.seek(0, os.SEEK_END)
        self._log.seek(max(0, self._log.tell() - _TAIL))
        return self._log.read().decode(errors="replace")
