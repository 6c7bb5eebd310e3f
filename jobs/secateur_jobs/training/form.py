"""What a network gives in training: perhaps other outputs than at inference, and made with the labels.

PP-OCR's heads are of this kind: in training they take the labels and return a dict of all branches, at
inference one tensor. The loss is that of the training outputs, wherever it is computed.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from secateur_api.conditions import Reason
from secateur_api.spec import Evaluation
from secateur_jobs.explain import RAISED, raised
from secateur_jobs.paddle_env import paddle
from secateur_jobs.runtime.errors import InvalidInput
from secateur_jobs.training.forward import eval_mode, forward, read
from secateur_jobs.training.outputs import Outputs, has_built_in_loss, judged_if_any
from secateur_jobs.training.several_labels import given_tensors

AS_TENSOR = ("labels", "label")
AS_LIST = ("targets", "data")
"""What a parameter of ``forward`` behind the inputs is called that is given the labels: as the tensor (a list
where items have several), or always as the list of all, as PaddleOCR hands them over."""
_SAME = 1e-4
_SAMPLES = 2


@dataclass(frozen=True)
class Form:
    """How the outputs of training relate to those of inference."""

    differs: bool
    """Training returns outputs of other names, shapes or meaning (scores, where inference gives
    probabilities)."""
    judged: str | None
    """Which of the training outputs is the one that is judged; None: the user's loss knows."""

    @contextmanager
    def shown(self, net: paddle.nn.Layer) -> Iterator[None]:
        """Let a net that is in evaluation mode return what it returns in training, and stay as it is.

        Normalisations and dropout are those of evaluation: layers that hold others are in training mode,
        Paddle's own and those without layers inside are not.
        """
        if not self.differs:
            yield
            return
        chosen = [net, *(layer for layer in net.sublayers() if _may_branch(layer))]
        modes = [layer.training for layer in chosen]
        # those of a normalisation without a layer of its own; Paddle's LSTM has one that is never filled
        buffers = [(buffer, buffer.clone()) for buffer in net.buffers() if buffer._is_initialized()]
        try:
            for layer in chosen:
                layer.training = True
            yield
        finally:
            for layer, mode in zip(chosen, modes, strict=True):
                layer.training = mode
            for buffer, before in buffers:
                buffer.set_value(before)


def _may_branch(layer: paddle.nn.Layer) -> bool:
    return bool(list(layer.children())) and not type(layer).__module__.startswith("paddle.nn.")


def training_forward(net: paddle.nn.Layer, inputs: Sequence[np.ndarray], labels: np.ndarray) -> Outputs:
    """Run ``net`` in the mode that it is in; in training its ``forward`` is given the labels if it asks."""
    asked = labels_asked(net, len(inputs), labels) if net.training else {}
    return read(net(*(paddle.to_tensor(array) for array in inputs), **asked))


def labels_asked(net: paddle.nn.Layer, inputs: int, labels: np.ndarray) -> dict[str, Any]:
    """Return the labels as the keyword argument that ``forward`` asks for; nothing where it does not."""
    wanted = labels_parameter(net, inputs)
    if wanted is None:
        return {}
    given = given_tensors(labels)
    return {wanted: [given] if wanted in AS_LIST and not isinstance(given, list) else given}


def labels_parameter(net: paddle.nn.Layer, inputs: int) -> str | None:
    """Return the parameter of ``forward`` that asks for labels, behind its first ``inputs``; else None."""
    try:
        behind = list(inspect.signature(net.forward).parameters)[inputs:]
    except (TypeError, ValueError):  # one written in C may not tell
        return None
    return next((name for name in behind if name in (*AS_TENSOR, *AS_LIST)), None)


def needs_labels(net: paddle.nn.Layer, inputs: Sequence[paddle.Tensor]) -> bool:
    """Whether ``forward`` asks for labels, and raises in training without them; the net stays as it is."""
    if labels_parameter(net, len(inputs)) is None:
        return False
    with eval_mode(net), paddle.no_grad(), Form(differs=True, judged=None).shown(net):
        try:
            net(*inputs)
        except RAISED:
            return True
    return False


def form_of(net: paddle.nn.Layer, batch: Sequence[np.ndarray], evaluation: Evaluation) -> Form:
    """Run the first samples of a batch (inputs, then labels) as at inference and as in training; compare.

    The net stays as it is. Where the outputs differ, the one that is judged is found by its values, which are
    equal in both (or at inference their softmax), or by its name where all names and shapes are equal, or by
    its key in a dict. Raises InvalidInput if the training mode cannot be run, or a built-in loss has no such
    output.
    """
    *inputs, labels = (column[:_SAMPLES] for column in batch)
    with eval_mode(net), paddle.no_grad():
        plain = forward(net, inputs)
        name = judged_if_any(plain, evaluation)
        with Form(differs=True, judged=None).shown(net):
            taught, again = (_run(net, inputs, labels) for _ in range(2))
    if _shapes(plain) == _shapes(taught):
        return Form(differs=not _is_same(plain, taught, again), judged=name)
    found = None if name is None else _again(plain, name, taught)
    if found is None and has_built_in_loss(evaluation):
        raise InvalidInput(
            Reason.INVALID_SPEC,
            f"spec.evaluation.loss: in training the model gives {taught}, at inference {plain}, and none of "
            f"the former is the {name} that {evaluation.loss} judges; write a loss of your own, which is "
            "given all that training returns",
        )
    return Form(differs=True, judged=found)


def trains_otherwise(net: paddle.nn.Layer, inputs: Sequence[np.ndarray], labels: np.ndarray | None) -> bool:
    """Whether ``net`` returns something else in training than at inference; it stays as it is.

    Without ``labels`` a ``forward`` that asks for them is taken to. Raises InvalidInput as :func:`form_of`.
    """
    if labels is None and labels_parameter(net, len(inputs)) is not None:
        return True
    with eval_mode(net), paddle.no_grad():
        plain = forward(net, inputs)
        with Form(differs=True, judged=None).shown(net):
            taught, again = (_run(net, inputs, np.empty(0) if labels is None else labels) for _ in range(2))
    return _shapes(plain) != _shapes(taught) or not _is_same(plain, taught, again)


def _is_same(plain: Outputs, taught: Outputs, again: Outputs) -> bool:
    """Whether training gave the same values; what differs from run to run is dropped out at random."""
    return all(_equal(plain, taught, n, n) or not _equal(again, taught, n, n) for n in plain.floats)


def _run(net: paddle.nn.Layer, inputs: Sequence[np.ndarray], labels: np.ndarray) -> Outputs:
    try:
        return training_forward(net, inputs, labels)
    except InvalidInput:
        raise
    except RAISED as error:
        asked = labels_parameter(net, len(inputs))
        how = (
            f"it was given the labels as {asked!r}"
            if asked
            else "if it needs the labels, let forward take them by a parameter called labels (the tensor) or "
            "targets (a list of all)"
        )
        raise InvalidInput(
            Reason.FACTORY_FAILED,
            f"spec.model: the model cannot be run in training mode: {raised(error)}; {how}",
        ) from error


def _shapes(outputs: Outputs) -> dict[str, list[int]]:
    return {name: list(tensor.shape) for name, tensor in outputs.tensors.items()}


def _again(plain: Outputs, name: str, taught: Outputs) -> str | None:
    """Return the training output that is the inference output ``name``; None if none is, or several are."""
    equal = [n for n in taught.floats if _equal(plain, taught, name, n)]
    equal = equal or [n for n in taught.floats if _is_softmax_of(plain.tensors[name], taught.tensors[n])]
    if len(equal) == 1:
        return equal[0]
    keyed = not name.rsplit(".", 1)[-1].isdigit()  # a place in a tuple says nothing in another one
    return name if keyed and name in taught.floats else None


def _is_softmax_of(probabilities: paddle.Tensor, scores: paddle.Tensor) -> bool:
    """Whether inference ends in a softmax, over the last axis or over a map's second, that training lacks."""
    return probabilities.ndim > 1 and any(
        _close(probabilities.numpy(), paddle.nn.functional.softmax(scores, axis).numpy()) for axis in (-1, 1)
    )


def _equal(one: Outputs, other: Outputs, name: str, theirs: str) -> bool:
    return _close(one.tensors[name].numpy(), other.tensors[theirs].numpy())


def _close(wanted: np.ndarray, found: np.ndarray) -> bool:
    if wanted.shape != found.shape:
        return False
    scale = float(np.abs(wanted).max(initial=0.0))
    return bool(np.abs(found - wanted).max(initial=0.0) <= _SAME * scale)
