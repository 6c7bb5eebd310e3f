"""The user's own code: find a ``module:callable``, build the model, load the data; every failure explained.

Whatever user code raises becomes one sentence that names the field of the spec and the line that raised.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
import pkgutil
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

from secateur_api.conditions import Reason
from secateur_api.spec import Data, Model
from secateur_jobs.explain import RAISED, near, raised
from secateur_jobs.graph.model import read_exported
from secateur_jobs.paddle_env import paddle
from secateur_jobs.paddle_modes import as_before
from secateur_jobs.runtime.errors import InvalidInput, MissingData
from secateur_jobs.training.batching import ArrayDataset, columns_of, with_one_label_column, without_labels
from secateur_jobs.training.reading import ReadBy


class Splits(NamedTuple):
    """The two data sets of a job; items are tuples of arrays, ``(input..., label)``."""

    train: paddle.io.Dataset
    eval: paddle.io.Dataset


def load_callable(ref: str, field: str) -> Callable[..., Any]:
    """Return what ``module:callable`` names; ``field`` is its place in the spec, for the message.

    Raises InvalidInput: CODE_NOT_FOUND (no such module or callable, with near names) or FACTORY_FAILED (the
    module raises while it is imported).
    """
    module_name, _, name = ref.partition(":")
    module = _import(module_name, field)
    found = getattr(module, name, None)
    if callable(found):
        return found
    if found is not None:
        raise InvalidInput(
            Reason.CODE_NOT_FOUND, f"{field}: {ref} is a {type(found).__name__}; it must be callable"
        )
    callables = [n for n in vars(module) if callable(getattr(module, n)) and not n.startswith("_")]
    raise InvalidInput(
        Reason.CODE_NOT_FOUND,
        f"{field}: module {module_name!r} has no {name!r}{near(name, callables)}",
    )


def build_model(model: Model, field: str = "spec.model") -> paddle.nn.Layer:
    """Call the model factory, or read the exported files, and return the network.

    Parameter names start from zero in every process. Raises InvalidInput: CODE_NOT_FOUND, or FACTORY_FAILED
    if the factory raises or returns no Layer; what ``graph.model.read_exported`` raises.
    """
    if model.exported is not None:
        if model.args:  # CEL cannot look into arguments of any type
            raise InvalidInput(
                Reason.INVALID_SPEC, f"{field}.args: they are a factory's; leave them out beside exported"
            )
        with paddle.utils.unique_name.guard():
            return read_exported(model.exported, model.inputs, f"{field}.exported")
    if model.factory is None:
        raise RuntimeError("a model without factory and exported files passed validation")
    field = f"{field}.factory"
    if model.factory.partition(":")[0].partition(".")[0] in sys.stdlib_module_names:
        # a checkpoint names its factory: a foreign one must not reach for os:system
        raise InvalidInput(
            Reason.FACTORY_FAILED, f"{field}: {model.factory} is in a module of Python's own; rename yours"
        )
    factory = load_callable(model.factory, field)
    _check_args(factory, model.args, model.factory, field)
    with as_before() as modes, paddle.utils.unique_name.guard():
        net = _call(factory, model.args, f"{field}: {model.factory}")
    if modes.static:
        raise InvalidInput(
            Reason.FACTORY_FAILED,
            f"{field}: {model.factory} calls paddle.enable_static(); networks are built and trained in "
            "dynamic mode: leave that call out",
        )
    if isinstance(net, paddle.jit.TranslatedLayer):
        raise InvalidInput(
            Reason.FACTORY_FAILED,
            f"{field}: {model.factory} returned what paddle.jit.load gives, an exported program whose layers "
            "cannot be cut; build the network from its class, and give its weights as spec.model.weights",
        )
    if not isinstance(net, paddle.nn.Layer):
        raise InvalidInput(
            Reason.FACTORY_FAILED,
            f"{field}: {model.factory} returned {_type(net)}; it must return a paddle.nn.Layer",
        )
    check_types(net, f"{field}: {model.factory}")
    return net


def check_types(net: paddle.nn.Layer, what: str) -> None:
    """Refuse a network in another type than float32, or one that is quantised; ``what`` returned it."""
    for name, layer in net.named_sublayers():
        if type(layer).__module__.startswith(("paddle.nn.quant", "paddle.quantization")):
            raise InvalidInput(
                Reason.FACTORY_FAILED,
                f"{what}: layer {name!r} is a {type(layer).__name__}, made for quantisation; prune the "
                "network first and quantise what comes out",
            )
    for name, parameter in net.named_parameters():
        if parameter.is_floating_point() and parameter.dtype != paddle.float32:
            raise InvalidInput(
                Reason.FACTORY_FAILED,
                f"{what}: {name} is {str(parameter.dtype).rpartition('.')[2]}; build the network in float32 "
                "(paddle.set_default_dtype)",
            )


def load_data(data: Data, inputs: int, has_labels: bool = True) -> Splits:
    """Call the data factory and return its two data sets, both non-empty; a first item is read of each.

    Items have the model's ``inputs`` (so many), then the labels as one column (``training.several_labels``);
    it is empty without ``has_labels``, and where the training set alone has none.

    Raises InvalidInput: CODE_NOT_FOUND, FACTORY_FAILED (it raises) or DATASET_INVALID (it returns something
    else than two non-empty map-style data sets); MissingData if it raises FileNotFoundError.
    """
    if data.factory is None:
        raise RuntimeError("data without a factory are read without code")
    field = f"spec.data.factory: {data.factory}"
    factory = load_callable(data.factory, "spec.data.factory")
    _check_args(factory, data.args, data.factory, "spec.data.factory")
    with as_before():
        found = _call(factory, data.args, field)
    if not isinstance(found, (tuple, list)) or len(found) != 2:
        raise InvalidInput(
            Reason.DATASET_INVALID,
            f"{field} returned {_type(found)}; it must return (train, eval), two paddle.io.Dataset",
        )
    for name, dataset in zip(("train", "eval"), found, strict=True):
        if _length(dataset, f"{field}: the {name} set") == 0:
            raise InvalidInput(Reason.DATASET_INVALID, f"{field}: the {name} set is empty")
    columns = [columns_of(dataset) if has_labels else 0 for dataset in found]
    first_unlabelled = not has_labels or columns[0] == inputs < columns[1]
    train, evaluation = (
        without_labels(dataset, inputs) if bare else with_one_label_column(dataset, inputs, count)
        for dataset, bare, count in zip(found, (first_unlabelled, not has_labels), columns, strict=True)
    )
    return Splits(_read_by(train, data.workers), _read_by(evaluation, data.workers))


def _read_by(dataset: paddle.io.Dataset, workers: int) -> paddle.io.Dataset:
    return dataset if isinstance(dataset, ArrayDataset) or workers == 0 else ReadBy(dataset, workers)


def _import(name: str, field: str) -> ModuleType:
    try:
        with as_before():
            return importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing = error.name or name
        if missing == name or name.startswith(f"{missing}."):
            raise InvalidInput(
                Reason.CODE_NOT_FOUND, f"{field}: there is no module {missing!r}{_near_modules(missing)}"
            ) from None
        raise InvalidInput(
            Reason.CODE_NOT_FOUND, f"{field}: module {name!r} imports {missing!r}, which is not installed"
        ) from error
    except RAISED as error:
        raise InvalidInput(
            Reason.FACTORY_FAILED, f"{field}: importing {name!r} raised {raised(error)}"
        ) from error


def _near_modules(missing: str) -> str:
    parent, _, last = missing.rpartition(".")
    path = getattr(sys.modules.get(parent), "__path__", []) if parent else None
    names = [info.name for info in pkgutil.iter_modules(path)]
    close = difflib.get_close_matches(last, names, n=1, cutoff=0.7)
    if close:
        return f"; did you mean {parent + '.' if parent else ''}{close[0]}?"
    return "; user code comes by spec.code (locally --code DIR) or in the image"


def _check_args(factory: Callable[..., Any], args: dict[str, Any], ref: str, field: str) -> None:
    """Refuse arguments that the factory does not take, or lacks, before it runs."""
    try:
        signature = inspect.signature(factory)
    except (TypeError, ValueError):  # one written in C may not tell
        return
    try:
        signature.bind(**args)
    except TypeError as error:
        raise InvalidInput(
            Reason.FACTORY_FAILED,
            f"{field.removesuffix('factory')}args: {ref}: {error}; it takes "
            f"{', '.join(signature.parameters) or 'none'}",
        ) from None


def _call(factory: Callable[..., Any], args: dict[str, Any], what: str) -> Any:
    try:
        return factory(**args)
    except FileNotFoundError as error:
        raise MissingData(Reason.DATASET_INVALID, f"{what} found no file: {error}") from error
    except RAISED as error:
        raise InvalidInput(Reason.FACTORY_FAILED, f"{what} raised {raised(error)}") from error


def _length(dataset: Any, what: str) -> int:
    if isinstance(dataset, paddle.io.IterableDataset) or not hasattr(dataset, "__getitem__"):
        raise InvalidInput(
            Reason.DATASET_INVALID,
            f"{what} is {_type(dataset)}; it must be a paddle.io.Dataset with __getitem__ and __len__",
        )
    try:
        return len(dataset)
    except RAISED as error:
        raise InvalidInput(Reason.DATASET_INVALID, f"{what}: len() raised {raised(error)}") from error


def _type(value: object) -> str:
    kind = type(value)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    return "None" if value is None else f"an object of type {name}"
