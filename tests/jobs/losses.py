"""The training loss of a net over a whole data set."""

from __future__ import annotations

from secateur_api.spec import Evaluation
from secateur_jobs.paddle_env import paddle
from secateur_jobs.training.batching import gather
from secateur_jobs.training.form import form_of, training_forward
from secateur_jobs.training.forward import eval_mode
from secateur_jobs.training.losses import loss_function
from secateur_jobs.training.reading import in_order


def mean_loss(net: paddle.nn.Layer, dataset: paddle.io.Dataset, evaluation: Evaluation) -> float:
    """Return the mean training loss of ``net`` on ``dataset``, normalisations and dropout as in evaluation.

    The net's mode is kept.
    """
    form, total = form_of(net, gather(dataset, range(min(2, len(dataset)))), evaluation), 0.0
    loss = loss_function(evaluation, form)
    with eval_mode(net), paddle.no_grad(), form.shown(net):
        for *inputs, labels in in_order(dataset, evaluation.batch_size):
            total += float(loss(training_forward(net, inputs, labels), labels)) * len(labels)
    return total / len(dataset)
