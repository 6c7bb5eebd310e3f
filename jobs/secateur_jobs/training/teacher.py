"""Another, larger model as teacher: built and loaded like ``spec.model``, and checked before any training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from secateur_api.conditions import Reason
from secateur_api.spec import Evaluation, InputSpec, Model, PruningJobSpec
from secateur_jobs.explain import RAISED, raised
from secateur_jobs.paddle_env import paddle
from secateur_jobs.runtime.errors import InvalidInput
from secateur_jobs.training.distillation import check_same_outputs
from secateur_jobs.training.form import form_of, training_forward
from secateur_jobs.training.forward import eval_mode, read, zeros
from secateur_jobs.user_code import build_model
from secateur_jobs.weights import load_weights

FIELD = "spec.fineTune.distillation.teacher"


def load_teacher(spec: PruningJobSpec, net: paddle.nn.Layer) -> paddle.nn.Layer | None:
    """Return the teacher that the spec names, in evaluation mode; None: the unpruned model teaches.

    ``net`` is the model that it will teach. Raises InvalidInput (or MissingData, for weights that are not
    there) with the field below ``spec.fineTune.distillation.teacher`` if it cannot be built or loaded, does
    not take the model's inputs, or gives other outputs.
    """
    settings = spec.fine_tune.distillation.teacher
    if settings is None:
        return None
    model = Model(
        factory=settings.factory, args=settings.args, weights=settings.weights, inputs=spec.model.inputs
    )
    teacher = build_model(model, FIELD)
    load_weights(teacher, settings.weights, FIELD)
    teacher.eval()
    given, wanted = _outputs(teacher, model.inputs), _outputs(net, model.inputs)
    if given != wanted:
        raise InvalidInput(
            Reason.FACTORY_FAILED,
            f"{FIELD}: {settings.factory} gives the outputs {given}, the model {wanted}; names and shapes "
            "must be equal, class by class",
        )
    return teacher


def check_teaching(
    net: paddle.nn.Layer, teacher: paddle.nn.Layer, batch: Sequence[np.ndarray], evaluation: Evaluation
) -> None:
    """Raise InvalidInput if in training the teacher returns other outputs than ``net`` for ``batch``."""
    form, (*inputs, labels) = form_of(net, batch, evaluation), batch
    found = []
    try:
        for one in (net, teacher):
            with eval_mode(one), form.shown(one), paddle.no_grad():
                found.append(training_forward(one, inputs, labels))
    except RAISED as error:
        raise InvalidInput(
            Reason.FACTORY_FAILED, f"{FIELD}: it cannot be run in training mode: {raised(error)}"
        ) from error
    check_same_outputs(*found)


def _outputs(net: paddle.nn.Layer, inputs: list[InputSpec]) -> str:
    """Return a net's outputs on zeros, with their shapes; the teacher's refusal is the user's to mend."""
    try:
        with eval_mode(net), paddle.no_grad():
            returned = net(*zeros(inputs))
    except RAISED as error:
        raise InvalidInput(
            Reason.FACTORY_FAILED,
            f"{FIELD}: it cannot be run on the inputs of spec.model.inputs: {raised(error)}",
        ) from error
    return str(read(returned))
