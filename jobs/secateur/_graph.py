"""A network as its graph, for one that keeps widths as numbers."""

from __future__ import annotations

from secateur._arguments import Inputs, input_specs, plain_errors
from secateur_jobs.graph.of_module import graph_of
from secateur_jobs.paddle_env import paddle

__all__ = ["graph"]


@plain_errors
def graph(net: paddle.nn.Layer, inputs: Inputs) -> paddle.nn.Layer:
    """Return a copy of ``net`` as the graph that Paddle traces for inference; ``net`` stays as it is.

    Widths that ``net`` keeps as numbers (``reshape([-1, self.channels])``) follow a cut of the graph, so that
    more of it can be cut. It has the same layers by the same names, answers as ``net`` does within 1e-5 of
    the largest output, and is taken wherever a network is: :func:`inspect`, :func:`prune`, :func:`fine_tune`,
    :func:`save`. What ``forward`` does in training alone is not in it, dropout layers are. Raises ValueError
    where the network has no graph; the sentence says why.

    >>> import secateur
    >>> from paddle.vision.models import LeNet
    >>> inputs = [("image", (1, 1, 28, 28))]
    >>> [group.name for group in secateur.inspect(secateur.graph(LeNet(), inputs), inputs).groups]
    ['features.0', 'features.3', 'fc.0', 'fc.1']
    """
    return graph_of(net, input_specs(inputs))
