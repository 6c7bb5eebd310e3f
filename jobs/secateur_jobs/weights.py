"""Trained weights into a net: all of a file or nothing, and what differs is named."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from fnmatch import fnmatchcase

import numpy as np

from secateur_api.conditions import Reason
from secateur_api.spec import Weights
from secateur_jobs.array_file import parse
from secateur_jobs.explain import near, some
from secateur_jobs.paddle_env import paddle
from secateur_jobs.runtime.errors import InvalidInput
from secateur_jobs.runtime.files import read_named

MODEL = "spec.model"
FRESH = f"{MODEL}.pretrain.fresh"
_LEAST_LIMIT, _TIMES = 256 * 2**20, 16
"""What a file may unpack to: so many bytes, or so many times the model's own."""


def load_weights(
    net: paddle.nn.Layer, weights: Weights, owner: str = MODEL, fresh: Sequence[str] = ()
) -> None:
    """Read a file of arrays by structured name into ``net``, all of it or nothing.

    ``owner`` is the field of the spec that describes the model, for messages. Parameters that a pattern in
    ``fresh`` (the field :data:`FRESH`) matches stay as they are, whether the file has them or not.

    Raises MissingData(WEIGHTS_MISSING) if the file is not there; InvalidInput(WEIGHTS_INVALID) for another
    sha256, a truncated file, anything but arrays in a pickle, missing or unexpected names (near ones are
    named), or other shapes; InvalidInput(PATTERN_MATCHES_NOTHING) for a pattern in ``fresh`` or
    ``weights.ignore`` that matches no name.
    """
    field = f"{owner}.weights"
    content = read_named(weights.uri, weights.sha256, field, Reason.WEIGHTS_MISSING, Reason.WEIGHTS_INVALID)
    own = net.state_dict()
    held = sum(int(tensor.size) * int(tensor.element_size()) for tensor in own.values())
    arrays = parse(content, weights.uri, f"{field}.uri", max(_LEAST_LIMIT, _TIMES * held))
    # a recurrent layer lists each tensor under two names, of which a file or a pattern may have either
    named = {id(own[name]) for name in _matching(own, fresh, FRESH, "parameter of the model")}
    spared = {name for name, tensor in own.items() if id(tensor) in named}
    ignored = _matching(arrays, weights.ignore, f"{field}.ignore", f"name in {weights.uri}")
    given = {weights.prefix + name: array for name, array in arrays.items() if name not in ignored}
    given = {name: array for name, array in given.items() if name not in spared}
    _check_names(own, given, spared, weights, owner)
    _check_shapes(own, given, weights, owner)
    _check_types(own, given, weights, owner)
    for name, array in given.items():
        own[name].set_value(array.astype(own[name].numpy().dtype))


def _matching(names: Collection[str], patterns: Sequence[str], field: str, what: str) -> set[str]:
    """Return the names that any pattern matches; each pattern must match some."""
    found: set[str] = set()
    for index, pattern in enumerate(patterns):
        matched = {name for name in names if fnmatchcase(name, pattern)}
        if not matched:
            raise InvalidInput(
                Reason.PATTERN_MATCHES_NOTHING,
                f"{field}[{index}]: {pattern!r} matches no {what}{near(pattern, names)}",
            )
        found |= matched
    return found


def _check_names(
    own: dict[str, paddle.Tensor],
    given: dict[str, np.ndarray],
    spared: set[str],
    weights: Weights,
    owner: str,
) -> None:
    settled = {id(tensor) for name, tensor in own.items() if name in given or name in spared}
    missing = [name for name, tensor in own.items() if id(tensor) not in settled]
    unexpected = [name for name in given if name not in own]
    if not missing and not unexpected:
        return
    parts, remedies = [], []
    if missing:
        hint = near(missing[0], unexpected) if unexpected else ""
        parts.append(f"lacks {some(missing)}{hint}")
        if owner == MODEL:
            remedies.append(f"what is to be trained first may be missing if {FRESH} names it")
    if unexpected:
        parts.append(f"has {some(unexpected)} that the model does not know")
        remedies.append(f"what is not to be read must be named in {owner}.weights.ignore")
    prefix = _prefix(missing, unexpected)
    if prefix and not weights.prefix:
        remedies = [f"{owner}.weights.prefix {prefix!r} would make more of them fit", *remedies]
    raise _invalid(
        f"{owner}.weights.uri: {weights.uri} {' and '.join(parts)}; the names must be those of "
        f"net.state_dict(); {'; '.join(remedies)}"
    )


def _prefix(missing: Iterable[str], unexpected: Iterable[str]) -> str:
    """Return what stands before the name of a missing parameter where the file has the rest of it."""
    ends = set(unexpected)
    for name in missing:
        parts = name.split(".")
        for cut in range(1, len(parts)):
            if ".".join(parts[cut:]) in ends:
                return ".".join(parts[:cut]) + "."
    return ""


def _check_shapes(
    own: dict[str, paddle.Tensor], given: dict[str, np.ndarray], weights: Weights, owner: str
) -> None:
    other = [
        f"{name} is {list(given[name].shape)}, the model has {list(tensor.shape)}"
        for name, tensor in own.items()
        if name in given and list(given[name].shape) != list(tensor.shape)
    ]
    if other:
        raise _invalid(
            f"{owner}.weights.uri: {weights.uri} has other shapes: {some(other, '; ')}; check {owner}.args"
        )
    if not given:
        raise _invalid(f"{owner}.weights.uri: nothing of {weights.uri} is left to read; leave weights out")


def _check_types(
    own: dict[str, paddle.Tensor], given: dict[str, np.ndarray], weights: Weights, owner: str
) -> None:
    """Refuse what would be other numbers in the model's type: codes of quantised weights."""
    other = [
        f"{name} is {given[name].dtype}, the model has {own[name].numpy().dtype}"
        for name in given
        if (given[name].dtype.kind == "f") != (own[name].numpy().dtype.kind == "f")
    ]
    if other:
        raise _invalid(
            f"{owner}.weights.uri: {weights.uri} has other types: {some(other, '; ')}; whole numbers are "
            "codes of quantised weights: give the floating-point ones (float16, bfloat16, float32, float64)"
        )


def _invalid(message: str) -> InvalidInput:
    return InvalidInput(Reason.WEIGHTS_INVALID, message)
