"""Turn a network into its graph, so that widths which it keeps as numbers follow a cut."""

from __future__ import annotations

from secateur._arguments import Inputs, input_specs, plain_errors
from secateur_jobs.graph.of_module import graph_of
from secateur_jobs.paddle_env import paddle

__all__ = ["graph"]


@plain_errors
def graph(net: paddle.nn.Layer, inputs: Inputs) -> paddle.nn.Layer:
    """Return a copy of ``net`` as the graph that Paddle traces for inference; ``net`` is not changed.

    Widths that ``net`` keeps as numbers (``reshape([-1, self.channels])``) follow a cut of the graph, so you
    can cut more of it. The graph has the same layers by the same names, and its outputs equal those of
    ``net`` within 1e-5 of the largest. Use it wherever you use a network: :func:`inspect`, :func:`prune`,
    :func:`fine_tune`, :func:`save`. It has the dropout layers, but nothing else that ``forward`` does only in
    training. Raises ValueError if the network has no graph; the message says why.

    >>> import secateur
    >>> from paddle.vision.models import LeNet
    >>> inputs = [("image", (1, 1, 28, 28))]
    >>> [group.name for group in secateur.inspect(secateur.graph(LeNet(), inputs), inputs).groups]
    ['features.0', 'features.3', 'fc.0', 'fc.1']
    """
    return graph_of(net, input_specs(inputs))
