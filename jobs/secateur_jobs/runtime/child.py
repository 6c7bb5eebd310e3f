"""Child processes that may crash, hang or be killed: started, spoken to, and never left behind."""

from __future__ import annotations

import contextlib
import json
import math
import os
import signal
import struct
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np

from secateur_api.conditions import Reason
from secateur_jobs.runtime.errors import Retryable

Arrays = dict[str, np.ndarray]
_HEAD = struct.Struct("<cQ")
_TABLE = struct.Struct("<I")
_TAIL = 8000
_WATCH_SECONDS = 0.2


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

    A message is one byte for its kind, eight bytes of length (little endian) and the content: ``J`` is a JSON
    object; ``A`` is arrays by name: four bytes of length, a JSON list of [name, dtype, shape], their bytes in
    that order. Nothing is pickled. The child's stderr is kept in a file.
    """

    def __init__(self, argv: Sequence[str | Path], env: Mapping[str, str], limit: float) -> None:
        """Start it; ``limit`` is the longest time in seconds that one answer may take."""
        self._limit = limit
        self._timed_out = False
        self._deadline: float | None = None
        self._closed = threading.Event()
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  (closed in __exit__)
        self._process = subprocess.Popen(
            [str(part) for part in argv],
            env=dict(env),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            start_new_session=True,
        )
        threading.Thread(target=self._watch, daemon=True).start()

    def __enter__(self) -> Child:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed.set()
        self._kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._log):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()

    @property
    def pid(self) -> int:
        """Its process id, which is also that of its process group."""
        return self._process.pid

    def send_arrays(self, arrays: Arrays) -> None:
        """Send arrays by name; raises ChildDied."""
        table = json.dumps([[name, a.dtype.str, a.shape] for name, a in arrays.items()]).encode()
        content = b"".join([_TABLE.pack(len(table)), table, *(a.tobytes() for a in arrays.values())])
        with self._watched():
            try:
                self._stdin.write(_HEAD.pack(b"A", len(content)) + content)
                self._stdin.flush()
            except BrokenPipeError:
                raise self._death() from None

    def receive_json(self) -> dict[str, Any]:
        """Return the child's next message; raises ChildDied if it ends first."""
        message: dict[str, Any] = json.loads(self._receive(b"J"))
        return message

    def receive_arrays(self) -> Arrays:
        """Return the arrays of the child's next message; raises ChildDied if it ends first."""
        content = self._receive(b"A")
        (size,) = _TABLE.unpack_from(content)
        offset = _TABLE.size + size
        arrays = {}
        for name, dtype, shape in json.loads(content[_TABLE.size : offset]):
            arrays[name] = np.frombuffer(content, dtype, math.prod(shape), offset).reshape(shape)
            offset += arrays[name].nbytes
        return arrays

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
        self._deadline = time.monotonic() + self._limit
        try:
            yield
        finally:
            self._deadline = None

    def _watch(self) -> None:
        while not self._closed.wait(_WATCH_SECONDS):
            deadline = self._deadline
            if deadline is not None and time.monotonic() > deadline:
                self._timed_out = True
                self._kill()
                return

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
