"""Messages over pipes; nothing is pickled.

A message is one byte for its kind, eight bytes of length (little endian) and the content: ``J`` is a JSON
object; ``A`` is arrays by name: four bytes of length, a JSON list of [name, dtype, shape], and their bytes in
that order.
"""

from __future__ import annotations

import json
import math
import struct
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np

_HEAD = struct.Struct("<cQ")
_TABLE = struct.Struct("<I")


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
        table = json.dumps([[name, a.dtype.str, a.shape] for name, a in arrays.items()]).encode()
        values = (a.tobytes() for a in arrays.values())
        self._send(b"A", b"".join([_TABLE.pack(len(table)), table, *values]))

    def receive_arrays(self) -> dict[str, np.ndarray] | None:
        """Return the next message's arrays, or None at the end of the input; raises ValueError otherwise."""
        head = self._source.read(_HEAD.size)
        if not head:
            return None
        kind, size = _HEAD.unpack(head)
        content = self._source.read(size)
        if kind != b"A" or len(content) != size:
            raise ValueError(f"expected {size} bytes of arrays, got {len(content)} of kind {kind!r}")
        (length,) = _TABLE.unpack_from(content)
        offset = _TABLE.size + length
        arrays = {}
        for name, dtype, shape in json.loads(content[_TABLE.size : offset]):
            arrays[name] = np.frombuffer(content, dtype, math.prod(shape), offset).reshape(shape)
            offset += arrays[name].nbytes
        return arrays

    def _send(self, kind: bytes, content: bytes) -> None:
        self._sink.write(_HEAD.pack(kind, len(content)))
        self._sink.write(content)
        self._sink.flush()
