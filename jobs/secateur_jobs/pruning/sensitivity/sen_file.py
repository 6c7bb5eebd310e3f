"""PaddleSlim's ``sen_file``: curves that its ``sensitive()`` measured, read without running anything.

It is a pickle of its ``Status``, whose ``sensitivies`` [sic] are ``{parameter name: {ratio: loss}}``, or
(from ``merge_sensitive`` and static graphs) of that dict alone. A loss is ``(baseline - metric) / (baseline
+ 0.001)`` (``paddleslim.dygraph.prune.filter_pruner``, 2.6.0).
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np

from secateur_api.conditions import Reason
from secateur_api.results import Group
from secateur_api.spec import SensitivityFile
from secateur_jobs.explain import near, some
from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning.layers import homes
from secateur_jobs.runtime.errors import InvalidInput
from secateur_jobs.runtime.files import read_named

Curves = dict[str, dict[float, float]]
"""Name to ratio to PaddleSlim's loss."""
_FIELD = "spec.sensitivity.file"
_EPSILON = 1e-3  # PaddleSlim's guard against a baseline of zero


def read(file: SensitivityFile) -> Curves:
    """Return the curves by parameter name.

    Raises MissingData(ARTIFACT_CORRUPT) if the file is not there; InvalidInput(INVALID_SPEC) for another
    sha256, a file that is no such pickle or wants to run something, ratios outside 0..1, and losses that are
    no finite numbers.
    """
    content = read_named(file.uri, file.sha256, _FIELD, Reason.ARTIFACT_CORRUPT, Reason.INVALID_SPEC)
    try:
        found = _NumbersOnly(io.BytesIO(content)).load()
    except InvalidInput:
        raise
    except Exception as error:  # noqa: BLE001  a broken pickle may raise anything
        raise _invalid(
            f"uri: {file.uri} ({len(content)} bytes) is truncated or no pickle: {type(error).__name__}"
        ) from None
    inner = vars(found).get("sensitivies") if isinstance(found, _Status) else found
    if not isinstance(inner, dict) or not inner:
        raise _invalid(f"uri: {file.uri} holds no {{parameter name: {{ratio: loss}}}}; is it a sen_file?")
    return {_name(name): _curve(name, losses) for name, losses in inner.items()}


def for_groups(
    curves: Curves, net: paddle.nn.Layer, groups: Sequence[Group]
) -> dict[str, dict[float, float]]:
    """Return the curves by group: that of the group which a named weight is a producer of.

    ``net`` must have been built with fresh parameter names, as PaddleSlim's user had them. Groups that the
    file does not know are left out. Raises InvalidInput(INVALID_SPEC) if the file names parameters that the
    net does not have, or if none of them leads a group.
    """
    known = homes(net)
    unknown = [name for name in curves if name not in known]
    if unknown:
        hint = near(unknown[0], list(known))
        raise _invalid(f"uri: it is of another model, which has {some(unknown)}{hint}")
    group_of = {layer: group.name for group in groups for layer in group.producers}
    found: dict[str, dict[float, float]] = {}
    for name, losses in curves.items():
        group = group_of.get(known[name].layer_name)
        if group is not None and known[name].attribute == "weight":
            found.setdefault(group, losses)
    if not found:
        raise _invalid(
            f"uri: none of its parameters leads channels that can be cut here: {some(list(curves))}"
        )
    return found


def metric_of(loss: float, baseline: float) -> float:
    """Return the metric that PaddleSlim's ``loss`` stands for with a ``baseline``."""
    return baseline - loss * (baseline + _EPSILON)


class _Status:
    """Stands for PaddleSlim's class of that name, as a bag of attributes."""


class _NumbersOnly(pickle.Unpickler):
    """Admits dicts, strings, numbers and NumPy scalars, and refuses every other name unrun."""

    _ADMITTED = frozenset(
        {
            ("numpy.core.multiarray", "scalar"),
            ("numpy._core.multiarray", "scalar"),
            ("numpy", "dtype"),
            ("_codecs", "encode"),
            ("collections", "OrderedDict"),
        }
    )

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("paddleslim.dygraph.prune.filter_pruner", "Status"):
            return _Status
        if (module, name) not in self._ADMITTED:
            raise _invalid(f"uri: the file wants to run {module}.{name}; only names and numbers are read")
        return super().find_class(module.replace("numpy._core", "numpy.core"), name)

    def persistent_load(self, pid: Any) -> Any:
        raise _invalid(f"uri: the file refers to an object outside of it ({pid!r})")


def _curve(name: Any, losses: Any) -> dict[float, float]:
    if not isinstance(losses, Mapping) or not losses:
        raise _invalid(f"uri: {name!r} has no {{ratio: loss}}")
    curve = {}
    for ratio, loss in losses.items():
        if not all(isinstance(number, Real) and np.isfinite(float(number)) for number in (ratio, loss)):
            raise _invalid(f"uri: {name!r} has {ratio!r}: {loss!r}; both must be finite numbers")
        if not 0 < float(ratio) < 1:
            raise _invalid(f"uri: {name!r} has the ratio {ratio!r}; ratios lie between 0 and 1")
        curve[round(float(ratio), 6)] = float(loss)
    return curve


def _name(name: Any) -> str:
    if not isinstance(name, str):
        raise _invalid(f"uri: {name!r} is no name of a parameter")
    return name


def _invalid(message: str) -> InvalidInput:
    return InvalidInput(Reason.INVALID_SPEC, f"{_FIELD}.{message}")
