"""Inputs without labels in a ``.npy`` or ``.npz`` file, as a job's data.

What is not compressed is used where it lies, so a file may be larger than the memory. Nothing is unpickled.
"""

from __future__ import annotations

import io
import math
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Mapping

import numpy as np

from secateur_api.conditions import Reason
from secateur_api.spec import Arrays, InputSpec, Model
from secateur_api.uri import redacted
from secateur_jobs.data.apart import apart, is_small, too_few
from secateur_jobs.explain import near
from secateur_jobs.paddle_env import paddle
from secateur_jobs.runtime.errors import InvalidInput
from secateur_jobs.runtime.files import map_named
from secateur_jobs.training.batching import NO_LABEL, ArrayDataset
from secateur_jobs.user_code import Splits

FIELD = "spec.data.arrays"
_LARGEST = 2 * 2**30
"""Bytes that compressed arrays may have once unpacked: they are held in memory."""
_HEADER = 2**16
"""Bytes in which the header of a ``.npy`` file ends, or NumPy refuses it."""
_ENTRY = "<4s22xHH"
"""What a ``.zip`` file has before an entry: a mark, and the lengths of name and extra field."""

_NO_HEADER = (ValueError, TypeError, SyntaxError, tokenize.TokenError, MemoryError, RecursionError)
"""What NumPy raises of a damaged header, which it reads as Python's source."""


class Rows(paddle.io.Dataset):
    """Items (input..., no label) of some samples, which messages name by their numbers in the file."""

    def __init__(self, arrays: Mapping[str, np.ndarray], rows: np.ndarray) -> None:
        super().__init__()
        self._arrays, self._rows = arrays, rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> tuple[np.ndarray, ...]:
        return (*(column[0] for column in self._read(self._rows[[index]])), NO_LABEL)

    def in_memory(self) -> ArrayDataset:
        """Return the same items, read now."""
        return ArrayDataset([*self._read(self._rows), np.zeros((len(self), 0), NO_LABEL.dtype)])

    def _read(self, rows: np.ndarray) -> list[np.ndarray]:
        # copies in this machine's byte order, which Paddle takes for granted
        columns = {name: np.array(array[rows], array.dtype.name) for name, array in self._arrays.items()}
        for name, column in columns.items():
            finite = np.isfinite(column.reshape(len(rows), -1)).all(axis=1)
            if not finite.all():
                raise _refused(f"sample {rows[finite.argmin()]} of {name!r} holds values that are not finite")
        return list(columns.values())


def splits(arrays: Arrays, model: Model, seed: int) -> Splits:
    """Return (train, eval) of the samples; which is for what depends on ``seed`` and their number alone.

    Raises InvalidInput(DATASET_INVALID) for arrays that are damaged, do not fit ``model.inputs``, have
    different numbers of samples, fewer than two, or values that are not finite; MissingData for no file.
    """
    found = _read(arrays, model)
    lengths = {name: len(array) for name, array in found.items()}
    samples = min(lengths.values())
    if samples != max(lengths.values()):
        said = ", ".join(f"{name!r} {length}" for name, length in lengths.items())
        raise _refused(f"the arrays have different numbers of samples: {said}")
    if samples < 2:
        raise _refused(f"{redacted(arrays.uri)} has {too_few(samples, 'sample')}")
    sets = [Rows(found, part) for part in apart(samples, arrays.eval_share, seed)]
    small = is_small(sum(array.nbytes for array in found.values()))
    return Splits(*(one.in_memory() if small else one for one in sets))


def _read(arrays: Arrays, model: Model) -> dict[str, np.ndarray]:
    invalid, shown = Reason.DATASET_INVALID, redacted(arrays.uri)
    content = map_named(arrays.uri, arrays.sha256, FIELD, invalid, invalid)
    try:
        if arrays.uri.endswith(".npy"):
            (declared,) = model.inputs
            return {declared.name: _array(content, declared, shown)}
        with zipfile.ZipFile(io.BufferedReader(_Reader(content))) as archive:
            names = {name.removesuffix(".npy"): name for name in archive.namelist()}
            _check_names(names, model, shown)
            chosen = [archive.getinfo(names[one.name]) for one in model.inputs]
            _check_size(chosen, shown)
            pieces = [_entry(archive, info, content) for info in chosen]
            return {
                one.name: _array(piece, one, repr(one.name))
                for one, piece in zip(model.inputs, pieces, strict=True)
            }
    except (
        zipfile.BadZipFile,
        zlib.error,
        struct.error,
        EOFError,
        NotImplementedError,
        RuntimeError,
    ) as error:
        raise _refused(f"{shown} is truncated or no .npz file: {error}") from None


def _check_names(names: Mapping[str, str], model: Model, shown: str) -> None:
    for one in model.inputs:
        if one.name not in names:
            raise _refused(f"{shown} has no array {one.name!r}, an input of the model{near(one.name, names)}")


def _check_size(chosen: list[zipfile.ZipInfo], shown: str) -> None:
    size = sum(info.file_size for info in chosen if info.compress_type != zipfile.ZIP_STORED)
    if size > _LARGEST:
        raise _refused(
            f"{shown} has {size >> 20} MiB once unpacked, at most {_LARGEST >> 20} are read; save it by "
            "numpy.savez, which does not compress"
        )


def _entry(archive: zipfile.ZipFile, info: zipfile.ZipInfo, content: memoryview) -> memoryview:
    """Return an entry's bytes: those of ``content`` where they are not compressed."""
    if info.compress_type != zipfile.ZIP_STORED:
        return memoryview(archive.read(info))  # never more than the size that it says
    mark, name, extra = struct.unpack_from(_ENTRY, content, info.header_offset)
    if mark != b"PK\3\4" or info.flag_bits & 1:
        raise zipfile.BadZipFile(f"{info.filename} is encrypted, or its place is wrong")
    start = info.header_offset + struct.calcsize(_ENTRY) + name + extra
    return content[start : start + info.file_size]


def _array(content: memoryview, declared: InputSpec, shown: str) -> np.ndarray:
    """Return the array in the bytes of a ``.npy`` file, which it shares, if it fits the input."""
    head = io.BytesIO(content[:_HEADER])
    try:
        if np.lib.format.read_magic(head) == (1, 0):
            shape, by_columns, dtype = np.lib.format.read_array_header_1_0(head)
        else:
            shape, by_columns, dtype = np.lib.format.read_array_header_2_0(head)
    except _NO_HEADER as error:
        raise _refused(f"{shown} is truncated or no .npy file: {str(error)[:200]}") from None
    if list(shape[1:]) != declared.shape[1:] or not shape:
        wanted = ", ".join(["samples", *map(str, declared.shape[1:])])
        raise _refused(
            f"{shown} has shape {list(shape)}, spec.model.inputs ({declared.name}) says [{wanted}]"
        )
    if dtype.name != declared.dtype.value:
        raise _refused(
            f"{shown} is {dtype.name}, spec.model.inputs ({declared.name}) says {declared.dtype.value}; save "
            f"it as that, by astype({declared.dtype.value!r})"
        )
    count, start = math.prod(shape), head.tell()
    if count < 0 or len(content) - start < count * dtype.itemsize:
        raise _refused(
            f"{shown} is cut short: {len(content) - start} bytes of {count * dtype.itemsize} are there"
        )
    flat = np.frombuffer(content, dtype, count, start) if count else np.zeros(0, dtype)
    return flat.reshape(shape, order="F" if by_columns else "C")


class _Reader(io.RawIOBase):
    """Bytes as a file that can be read, without a copy of them."""

    def __init__(self, content: memoryview) -> None:
        super().__init__()
        self._content, self._at = content, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: len(self._content)}[whence]
        self._at = max(0, start + offset)
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        piece = self._content[self._at : self._at + len(buffer)]
        buffer[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)


def _refused(problem: str) -> InvalidInput:
    return InvalidInput(Reason.DATASET_INVALID, f"{FIELD}: {problem}")
