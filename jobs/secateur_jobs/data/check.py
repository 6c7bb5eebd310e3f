"""Check a job's data against its model before anything is spent on them."""

from __future__ import annotations

import numpy as np

from secateur_api.conditions import Reason
from secateur_api.spec import Evaluation, Model
from secateur_jobs.explain import RAISED, raised
from secateur_jobs.paddle_env import paddle
from secateur_jobs.runtime.errors import InvalidInput
from secateur_jobs.training.answers import has_answers, judged_by
from secateur_jobs.training.batching import gather, read_item, spread
from secateur_jobs.training.form import form_of
from secateur_jobs.training.forward import eval_mode, forward
from secateur_jobs.training.labels import check_labels
from secateur_jobs.training.outputs import Outputs, has_built_in, has_built_in_metric, judged_if_any
from secateur_jobs.training.several_labels import judged_labels
from secateur_jobs.user_code import Splits

_LOOKED_AT = 200


def check_data(
    net: paddle.nn.Layer,
    splits: Splits,
    model: Model,
    evaluation: Evaluation,
    field: str = "spec.data.factory",
) -> Outputs:
    """Read up to 200 items of each set, evenly spread, run one, and check inputs and labels.

    Every later batch is checked again for its labels, so what is not looked at here does not pass either.
    ``field`` is where the spec names the data.
    Returns the network's outputs for one item.
    Raises InvalidInput: DATASET_INVALID, FACTORY_FAILED if the network cannot run on the declared inputs, or
    INVALID_SPEC if ``evaluation.output`` leaves open which of its outputs is judged.
    """
    outputs = _try(net, splits, model, field)
    judged = judged_if_any(outputs, evaluation)
    # what is not trained on is for the metric alone
    compares = has_built_in_metric if has_answers(splits.train) else has_built_in
    for name, dataset in zip(("train", "eval"), splits, strict=True):
        for index in spread(len(dataset), min(1.0, _LOOKED_AT / len(dataset))):
            item = read_item(dataset, int(index))
            where = f"{field}: the {name} set, item {index}"
            _check_inputs(item[:-1], model, where)
            if judged is not None and compares(evaluation) and not has_answers(dataset):
                labels = judged_labels(item[-1][None], evaluation)
                check_labels(outputs.tensors[judged].shape, labels, evaluation, where)
    form_of(net, gather(splits.train, range(min(2, len(splits.train)))), judged_by(splits.train, evaluation))
    return outputs


def _try(net: paddle.nn.Layer, splits: Splits, model: Model, field: str) -> Outputs:
    """Run the first evaluation item; return its outputs."""
    item = read_item(splits.eval, 0)
    _check_inputs(item[:-1], model, f"{field}: the eval set, item 0")
    try:
        with eval_mode(net), paddle.no_grad():
            return forward(net, [value[None] for value in item[:-1]])
    except InvalidInput:
        raise
    except RAISED as error:
        raise InvalidInput(
            Reason.FACTORY_FAILED,
            f"spec.model.inputs: {model.origin} cannot run on {[i.shape for i in model.inputs]}: "
            f"{raised(error)}",
        ) from error


def _check_inputs(inputs: tuple[np.ndarray, ...], model: Model, where: str) -> None:
    declared = [i.shape[1:] for i in model.inputs]
    found = [list(value.shape) for value in inputs]
    if found != declared:
        raise InvalidInput(
            Reason.DATASET_INVALID,
            f"{where}: inputs have shapes {found}, spec.model.inputs (without the batch) says {declared}",
        )
    for value, spec in zip(inputs, model.inputs, strict=True):
        if value.dtype.name != spec.dtype.value:
            raise InvalidInput(
                Reason.DATASET_INVALID, f"{where}: {spec.name} is {value.dtype}, expected {spec.dtype.value}"
            )
        if value.dtype.kind == "f" and not np.isfinite(value).all():
            raise InvalidInput(
                Reason.DATASET_INVALID, f"{where}: {spec.name} holds values that are not finite"
            )
