"""Messages over pipes: arrays by name as npz (never pickled), everything else as JSON.

A message is one byte for its kind (``J`` or ``N``), eight bytes of length (little endian), and the content.
"""

from __future__ import annotations

import io
import json
import struct
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np

_HEAD = struct.Struct("<cQ")


class Wire:
    """One end of a pair of pipes."""

    def __init__(self, source: BinaryIO, sink: BinaryIO) -> None:
        self._source = source
        self._sink = sink

    def __enter__(self) -> Wire:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._sink.close()

    def say(self, value: dict[str, Any]) -> None:
        """Send one JSON object."""
        self._send(b"J", json.dumps(value).encode())

    def send_arrays(self, arrays: dict[str, np.ndarray]) -> None:
        """Send arrays by name."""
        content = io.BytesIO()
        np.savez(content, **arrays)
        self._send(b"N", content.getvalue())

    def receive_arrays(self) -> dict[str, np.ndarray] | None:
        """Return the next message's arrays, or None at the end of the input; raises ValueError otherwise."""
        head = self._source.read(_HEAD.size)
        if not head:
            return None
        kind, size = _HEAD.unpack(head)
        content = self._source.read(size)
        if kind != b"N" or len(content) != size:
            raise ValueError(f"expected {size} bytes of arrays, got {len(content)} of kind {kind!r}")
        with np.load(io.BytesIO(content), allow_pickle=False) as found:
            return {name: found[name] for name in found.files}

    def _send(self, kind: bytes, content: bytes) -> None:
        self._sink.write(_HEAD.pack(kind, len(content)))
        self._sink.write(content)
        self._sink.flush()
