"""Trained weights from ``.safetensors``, ``.npz`` or ``.pdparams``: arrays only, checked before use."""

from __future__ import annotations

import io
import pickle
import zipfile
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from secateur_api.conditions import Reason
from secateur_api.spec import Weights
from secateur_jobs.explain import near, some
from secateur_jobs.paddle_env import paddle
from secateur_jobs.runtime.errors import InvalidInput, StageError
from secateur_jobs.runtime.named_file import read_named

_OWNER = "spec.model"
_FIELD = f"{_OWNER}.weights"
_NAMES_ENTRY = "StructuredToParameterName@@"  # paddle.save's table from structured to parameter names


def load_weights(net: paddle.nn.Layer, weights: Weights, owner: str = _OWNER) -> None:
    """Read a file of arrays by structured name into ``net``, all of it or nothing.

    ``owner`` is the field of the spec that describes the model, for messages.

    Raises MissingData(WEIGHTS_MISSING) if the file is not there; InvalidInput(WEIGHTS_INVALID) for another
    sha256, a truncated file, anything but arrays in a pickle, missing or unexpected names (near ones are
    named), or other shapes.
    """
    try:
        _load(net, weights)
    except StageError as error:
        raise type(error)(error.reason, error.message.replace(_OWNER, owner)) from error.__cause__


def _load(net: paddle.nn.Layer, weights: Weights) -> None:
    content = read_named(weights.uri, weights.sha256, _FIELD, Reason.WEIGHTS_MISSING, Reason.WEIGHTS_INVALID)
    arrays = parse(content, weights.uri)
    own = net.state_dict()
    _check(own, arrays, weights.uri)
    for name, tensor in own.items():
        if name in arrays:
            tensor.set_value(arrays[name].astype(tensor.numpy().dtype))


def parse(content: bytes, uri: str) -> dict[str, np.ndarray]:
    """Return the arrays of a weights file by name; the format is the URI's extension.

    Raises InvalidInput(WEIGHTS_INVALID) if it is truncated, of another format, or holds more than arrays.
    """
    readers = {"safetensors": safetensors.numpy.load, "npz": _npz, "pdparams": _pdparams}
    extension = uri.rsplit(".", 1)[-1]
    try:
        return readers[extension](content)
    except InvalidInput:
        raise
    except _UNREADABLE as error:
        raise _invalid(
            f"uri: {uri} ({len(content)} bytes) is truncated or no .{extension} file: "
            f"{type(error).__name__}: {str(error)[:200]}"
        ) from None


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
        raise _invalid(f"uri: the file holds a {type(found).__name__}; save net.state_dict()")
    arrays: dict[str, np.ndarray] = {}
    for name, value in found.items():
        if name == _NAMES_ENTRY:
            continue
        array = value[-1] if isinstance(value, tuple) and value else value  # a bare tensor: (name, array)
        if not isinstance(array, np.ndarray) or array.dtype == object:
            raise _invalid(
                f"uri: entry {name!r} is a {type(value).__name__}, not an array; save net.state_dict()"
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
            raise _invalid(
                f"uri: the .pdparams wants to run {module}.{name}; only arrays are read, nothing is run; "
                "save net.state_dict(), or convert it to .safetensors where you trust it"
            )
        # numpy 2 renamed the module
        return super().find_class(module.replace("numpy._core", "numpy.core"), name)

    def persistent_load(self, pid: Any) -> Any:
        raise _invalid(f"uri: the .pdparams refers to an object outside the file ({pid!r})")


def _check(own: dict[str, paddle.Tensor], arrays: dict[str, np.ndarray], uri: str) -> None:
    # a recurrent layer lists each tensor under two names, of which a file may have either
    given = {id(tensor) for name, tensor in own.items() if name in arrays}
    missing = [name for name, tensor in own.items() if id(tensor) not in given]
    unexpected = [name for name in arrays if name not in own]
    if missing or unexpected:
        parts = []
        if missing:
            hint = near(missing[0], unexpected) if unexpected else ""
            parts.append(f"lacks {some(missing)}{hint}")
        if unexpected:
            parts.append(f"has {some(unexpected)} that the model does not know")
        raise _invalid(f"uri: {uri} {' and '.join(parts)}; the names must be those of net.state_dict()")
    other = [
        f"{name} is {list(arrays[name].shape)}, the model has {list(tensor.shape)}"
        for name, tensor in own.items()
        if name in arrays and list(arrays[name].shape) != list(tensor.shape)
    ]
    if other:
        raise _invalid(f"uri: {uri} has other shapes: {some(other, '; ')}; check spec.model.args")


def _invalid(message: str) -> InvalidInput:
    return InvalidInput(Reason.WEIGHTS_INVALID, f"{_FIELD}.{message}")
