"""Arrays by name from ``.safetensors``, ``.npz`` or ``.pdparams`` files: nothing but arrays is admitted."""

from __future__ import annotations

import io
import pickle
import zipfile
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from secateur_api.conditions import Reason
from secateur_jobs.runtime.errors import InvalidInput

_NAMES_ENTRY = "StructuredToParameterName@@"  # paddle.save's table from structured to parameter names


def parse(content: bytes, uri: str, field: str) -> dict[str, np.ndarray]:
    """Return the arrays of a file by name; the format is the URI's extension.

    ``field`` is where the file is named, for messages. Raises InvalidInput(WEIGHTS_INVALID) if it is
    truncated, of another format, or holds more than arrays.
    """
    readers = {"safetensors": safetensors.numpy.load, "npz": _npz, "pdparams": _pdparams}
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


def _npz(content: bytes) -> dict[str, np.ndarray]:
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def _pdparams(content: bytes) -> dict[str, np.ndarray]:
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
    return arrays


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
