"""Arrays by name from ``.safetensors``, ``.npz`` or ``.pdparams`` files: nothing but arrays is admitted."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np
import safetensors

from secateur_api.conditions import Reason
from secateur_jobs.runtime.errors import InvalidInput

_NAMES_ENTRY = "StructuredToParameterName@@"  # paddle.save's table from structured to parameter names


def parse(content: bytes, uri: str, field: str, most_bytes: int) -> dict[str, np.ndarray]:
    """Return the arrays of a file by name; the format is the URI's extension.

    bfloat16, which NumPy does not know, comes as float32, with the same values. ``field`` is where the file
    is named, for messages; ``most_bytes`` is what its arrays may take in all.

    Raises InvalidInput(WEIGHTS_INVALID) if it is truncated, of another format, too large once unpacked, or
    holds more than arrays.
    """
    readers: dict[str, Callable[[bytes], dict[str, np.ndarray]]] = {
        "safetensors": _safetensors,
        "npz": lambda content: _npz(content, most_bytes),
        "pdparams": lambda content: _pdparams(content, most_bytes),
    }
    extension = uri.rsplit(".", 1)[-1]
    try:
        return readers[extension](content)
    except _MoreThanArrays as error:
        message = f"{field}: {uri}: {error}"
    except _UNREADABLE as error:
        message = (
            f"{field}: {uri} ({len(content)} bytes) is truncated or no .{extension} file: "
            f"{type(error).__name__}: {str(error)[:200]}"
        )
    raise InvalidInput(Reason.WEIGHTS_INVALID, message)


class _MoreThanArrays(Exception):
    """What else a file holds."""


_UNREADABLE = (
    safetensors.SafetensorError,
    zipfile.BadZipFile,
    pickle.UnpicklingError,
    EOFError,
    ValueError,
    KeyError,
    IndexError,
    TypeError,
    AttributeError,
    MemoryError,
    OverflowError,
)
"""What a damaged file makes the readers raise: a broken pickle may raise nearly anything."""


def _safetensors(content: bytes) -> dict[str, np.ndarray]:
    arrays = {}
    for name, found in safetensors.deserialize(content):
        kind, shape, data = found["dtype"], found["shape"], bytes(found["data"])
        if kind == "BF16":
            arrays[name] = _from_bfloat16(np.frombuffer(data, "<u2")).reshape(shape)
        elif kind in _NUMPY:
            arrays[name] = np.frombuffer(data, _NUMPY[kind]).reshape(shape)
        else:
            raise _MoreThanArrays(f"{name} is of type {kind}; the weights must be floating-point numbers")
    return arrays


_NUMPY = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "i1",
    "U8": "u1",
    "BOOL": "?",
}


def _from_bfloat16(codes: np.ndarray) -> np.ndarray:
    """Return the values of bfloat16 codes as float32: they are its upper halves."""
    return np.asarray(np.left_shift(codes.astype(np.uint32), 16).view(np.float32))


def _npz(content: bytes, most_bytes: int) -> dict[str, np.ndarray]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        _check_size(sum(entry.file_size for entry in archive.infolist()), most_bytes)
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def _check_size(unpacked: int, most_bytes: int) -> None:
    if unpacked > most_bytes:
        raise _MoreThanArrays(
            f"unpacked it has {unpacked} bytes, at most {most_bytes} are read for this model"
        )


def _pdparams(content: bytes, most_bytes: int) -> dict[str, np.ndarray]:
    found = _ArraysOnly(io.BytesIO(content)).load()
    if not isinstance(found, dict):
        raise _MoreThanArrays(f"the file holds a {type(found).__name__}; save net.state_dict()")
    arrays: dict[str, np.ndarray] = {}
    for name, value in found.items():
        if name == _NAMES_ENTRY:
            continue
        array = value[-1] if isinstance(value, tuple) and value else value  # a bare tensor: (name, array)
        if not isinstance(array, np.ndarray) or array.dtype == object:
            raise _MoreThanArrays(
                f"entry {name!r} is a {type(value).__name__}, not an array; save net.state_dict()"
            )
        arrays[str(name)] = array
    # entries may share their bytes: what they take is known before any is given bytes of its own
    _check_size(sum(array.nbytes for array in arrays.values()), most_bytes)
    # Paddle has no uint16: these are bfloat16's codes
    return {n: _from_bfloat16(a) if a.dtype == np.uint16 else a for n, a in arrays.items()}


class _ArraysOnly(pickle.Unpickler):
    """Admits what ``paddle.save`` needs for a dict of arrays, and refuses every other name unrun."""

    _ADMITTED = frozenset(
        {
            ("numpy.core.multiarray", "_reconstruct"),
            ("numpy._core.multiarray", "_reconstruct"),
            ("numpy", "ndarray"),
            ("numpy", "dtype"),
            ("_codecs", "encode"),
            ("builtins", "tuple"),
            ("collections", "OrderedDict"),
        }
    )

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self._ADMITTED:
            raise _MoreThanArrays(
                f"the .pdparams wants to run {module}.{name}; only arrays are read, nothing is run; "
                "save net.state_dict(), or convert it to .safetensors where you trust it"
            )
        # numpy 2 renamed the module
        return super().find_class(module.replace("numpy._core", "numpy.core"), name)

    def persistent_load(self, pid: Any) -> Any:
        raise _MoreThanArrays(f"the .pdparams refers to an object outside the file ({pid!r})")
