"""Turn a caller's arguments into what the engine takes, and the engine's errors into ones about arguments."""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any, Literal, ParamSpec, TypeAlias, TypedDict, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from secateur_api.spec import Evaluation, InputSpec, Model
from secateur_jobs.data.check import check_data
from secateur_jobs.paddle_env import paddle
from secateur_jobs.runtime.errors import Retryable, StageError
from secateur_jobs.training.batching import ArrayDataset, with_one_label_column
from secateur_jobs.user_code import Splits

__all__ = ["Data", "Inputs", "Judging"]

Inputs: TypeAlias = Sequence[tuple[str, Sequence[int]] | tuple[str, Sequence[int], str]]
"""The inputs of ``forward``, in order: (name, shape) or (name, shape, element type).

The batch size is first in the shape. The element type is float32 (the default), int32 or int64. Converted
models keep the names, and run at these shapes."""
Data: TypeAlias = paddle.io.Dataset | Sequence[NDArray[Any]]
"""A map-style data set of (input..., label) without a batch axis, or arrays: one for each input, then one of
labels. The first axis of each array is the samples."""


class Judging(TypedDict, total=False):
    """Keyword arguments that say how a network is judged; each has a default."""

    metric: str | Callable[..., float]
    """``accuracy`` (the default), ``top5_accuracy``, ``sequence_accuracy``, ``edit_similarity``, ``hmean``,
    ``miou``, or a function of (outputs, labels), which are arrays of the whole set."""
    goal: Literal["maximize", "minimize"]
    """Whether a larger or a smaller metric is better; default ``maximize``."""
    loss: str | Callable[..., Any]
    """``cross_entropy`` (the default), ``mse``, ``ctc``, or a function of (output, label), which are tensors
    of one batch."""
    output: str | int | None
    """The output that the built-in metric and loss judge, if there are several: ``1``, ``maps``,
    ``1.boxes``."""
    label: int | None
    """The label that they compare it with, if items have several."""
    class_axis: int | None
    """The output's axis of classes; default: the one that the labels do not have."""
    eval_batch_size: int
    """Samples per evaluation batch; default 128."""


P = ParamSpec("P")
R = TypeVar("R")
_GIVEN = "secateur._given"
"""A module of the functions that callers gave: the engine finds functions by ``module:name``."""
_ARGUMENTS = {
    "spec.model.inputs": "inputs",
    "spec.model.factory": "net",
    "spec.model.args": "net",
    "spec.model.weights": "net",
    "spec.model": "net",
    "spec.data.factory": "data",
    "spec.evaluation.metric": "metric",
    "spec.evaluation.loss": "loss",
    "spec.evaluation.output": "output",
    "spec.evaluation.label": "label",
    "spec.evaluation.classAxis": "class_axis",
    "spec.evaluation": "metric",
    "spec.pruning.criterion": "criterion",
    "spec.pruning.target": "macs, params, size",
    "spec.pruning.layers": "layers",
    "spec.sensitivity.dataFraction": "fraction",
    "spec.sensitivity.mode": "mode",
    "spec.fineTune.distillation.teacher": "teacher",
    "spec.fineTune.distillation": "distillation",
    "spec.fineTune": "learning_rate",
    "spec.convert": "path",
    "spec.benchmark": "path",
}
"""The engine's messages name fields of a PruningJob; these are the arguments that stand for them."""
_FIELD = re.compile(r"spec(?:\.[a-z][A-Za-z]*)+")


def plain_errors(function: Callable[P, R]) -> Callable[P, R]:
    """Let a public function raise ValueErrors that name its arguments, and OSError for a passing fault."""

    @functools.wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except Retryable as error:
            raise OSError(error.message) from error
        except StageError as error:
            raise ValueError(in_arguments(error.message)) from error
        except ValidationError as error:
            first = error.errors()[0]
            name = re.sub(r"([A-Z])", lambda found: "_" + found[1].lower(), ".".join(map(str, first["loc"])))
            raise ValueError(f"{name}: {first['msg']}, not {first['input']!r}") from None

    return checked


def in_arguments(message: str) -> str:
    """Return a message of the engine with arguments in place of a PruningJob's fields."""

    def argument(found: re.Match[str]) -> str:
        path = found[0]
        known = next((field for field in (path, path.rpartition(".")[0]) if field in _ARGUMENTS), None)
        return path if known is None else _ARGUMENTS[known] + path[len(known) :]

    return _FIELD.sub(argument, message).replace("net: secateur:net", "net").replace(f"{_GIVEN}:", "")


def input_specs(inputs: Inputs) -> list[InputSpec]:
    """Return declared inputs; raises ValueError for what is no (name, shape)."""
    found = []
    for index, given in enumerate(inputs):
        if not isinstance(given, (tuple, list)) or len(given) not in (2, 3) or not isinstance(given[0], str):
            raise ValueError(
                f"inputs[{index}] must be (name, shape) or (name, shape, type), as in "
                f"('image', (1, 3, 224, 224)), not {given!r}"
            )
        name, shape, *rest = given
        dtype = str(rest[0]).rpartition(".")[2] if rest else "float32"
        try:
            found.append(InputSpec.model_validate({"name": name, "shape": list(shape), "dtype": dtype}))
        except (ValidationError, TypeError) as error:
            what = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
            raise ValueError(f"inputs[{index}] {given!r}: {what}") from None
    if not found:
        raise ValueError("inputs is empty; give (name, shape) of each input of forward")
    return found


def dataset_of(data: Data, inputs: list[InputSpec], argument: str = "data") -> paddle.io.Dataset:
    """Return the data set, its labels as one column; raises ValueError if it is empty or of another kind."""
    if not isinstance(data, paddle.io.Dataset):
        if not isinstance(data, (tuple, list)) or not all(isinstance(array, np.ndarray) for array in data):
            raise ValueError(
                f"{argument} must be a paddle.io.Dataset of (input..., label), or arrays: one for each "
                f"input, then the labels; it is {type(data).__name__}"
            )
        if len({len(array) for array in data}) != 1:
            raise ValueError(f"{argument}: the arrays have {[len(array) for array in data]} samples")
        data = ArrayDataset([a.astype(np.float32) if a.dtype == np.float64 else a for a in data])
    if isinstance(data, paddle.io.IterableDataset) or len(data) == 0:
        raise ValueError(f"{argument} must be a data set with a length, of at least one item")
    return with_one_label_column(data, len(inputs))


def check_fits(
    net: paddle.nn.Layer,
    data: paddle.io.Dataset,
    inputs: list[InputSpec],
    evaluation: Evaluation,
    argument: str = "data",
) -> None:
    """Read up to 200 items and run one; raises ValueError if they do not fit the network or the metric."""
    model = Model(factory="secateur:net", trained=True, inputs=inputs)
    try:
        check_data(net, Splits(data, data), model, evaluation)
    except StageError as error:
        said = in_arguments(error.message)
        raise ValueError(re.sub(r"\bdata: (the (train|eval) set, )?", f"{argument}: ", said)) from error


def evaluation_of(judging: Judging) -> Evaluation:
    """Return the contract's words for how a network is judged; raises TypeError for another keyword."""
    wrong = judging.keys() - Judging.__annotations__.keys()
    if wrong:
        known = ", ".join(Judging.__annotations__)
        raise TypeError(f"there is no argument {sorted(wrong)[0]!r}; a network is judged by {known}")
    given: dict[str, Any] = dict(judging)
    given["batch_size"] = given.pop("eval_batch_size", Evaluation.model_fields["batch_size"].default)
    for name in ("metric", "loss"):
        if name in given:
            given[name] = name_of(given[name])
    return Evaluation.model_validate(given)


def name_of(function: str | Callable[..., Any]) -> str:
    """Return the name that the engine finds a function by; a name stays as it is."""
    if isinstance(function, str):
        return function
    module = sys.modules.setdefault(_GIVEN, ModuleType(_GIVEN))
    stem = getattr(function, "__name__", type(function).__name__).strip("<>")
    number, name = 0, stem
    while getattr(module, name, function) is not function:
        number, name = number + 1, f"{stem}_{number + 1}"
    setattr(module, name, function)
    return f"{_GIVEN}:{name}"


def percent(share: float | None, argument: str) -> str | None:
    """Return a share to cut (0..1) as the contract writes it; raises ValueError outside."""
    if share is None:
        return None
    if not 0 < share < 1:
        raise ValueError(f"{argument} is the share to cut, above 0 and below 1, such as 0.5; not {share!r}")
    return f"{round(share * 100, 9):.9f}".rstrip("0").rstrip(".") + "%"
