"""Whether a ``.pdiparams`` file is whole: Paddle reads one that is cut short without a word.

The format is that of Paddle's ``SerializeToStream`` (paddle/fluid/framework/lod_tensor.cc), tensor after
tensor: version (uint32), levels (uint64) each with its size (uint64) and content, version (uint32), length of
the description (int32), the description (protobuf: 1 the type, 2 the dimensions), the numbers.
"""

from __future__ import annotations

import math

_BYTES = {0: 1, 1: 2, 2: 4, 3: 8, 4: 2, 5: 4, 6: 8, 20: 1, 21: 1, 22: 2, 23: 8, 24: 16}
"""Of one number, by VarType.Type: bool, int16..64, float16..64, uint8, int8, bfloat16, complex64, 128."""


def is_cut_short(content: bytes) -> bool:
    """Whether the file ends inside a tensor; False as well for what is not understood."""
    at = 0
    while at < len(content):
        at += 4
        levels = _number(content, at, 8)
        at += 8
        for _ in range(min(levels, 8)):
            at += 8 + _number(content, at, 8)
        at += 4
        length = _number(content, at, 4)
        at += 4
        kind, dims = _description(content[at : at + length])
        if kind not in _BYTES and at + length <= len(content):
            return False
        at += length + _BYTES.get(kind, 0) * math.prod(dims)
    return at > len(content)


def _number(content: bytes, at: int, size: int) -> int:
    return int.from_bytes(content[at : at + size], "little")


def _description(content: bytes) -> tuple[int, list[int]]:
    """Return the type, -1 where there is none, and the dimensions, packed or one by one."""
    kind, dims, at = -1, list[int](), 0
    while at < len(content):
        tag, at = _varint(content, at)
        value, at = _varint(content, at)
        if tag == 0x08:
            kind = value
        elif tag == 0x10:
            dims.append(value)
        elif tag == 0x12:
            end = at + value
            while at < min(end, len(content)):
                one, at = _varint(content, at)
                dims.append(one)
        else:
            return -1, []
    return kind, dims


def _varint(content: bytes, at: int) -> tuple[int, int]:
    value, shift = 0, 0
    while at < len(content):
        byte = content[at]
        value, shift, at = value | (byte & 0x7F) << shift, shift + 7, at + 1
        if byte < 0x80:
            break
    return value, at
