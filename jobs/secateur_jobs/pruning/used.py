"""Which parameters inference uses: what it does not is no size that a cut can save."""

from __future__ import annotations

from typing import Any

from secateur_api.spec import InputSpec
from secateur_jobs.explain import RAISED
from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning.layers import named_layers


def unused_parameters(net: paddle.nn.Layer, inputs: list[InputSpec]) -> set[int]:
    """Return the ids of trainable parameters that the outputs of one run in evaluation mode do not come from.

    A parameter is used if the layer that holds it is called, or if a gradient of the outputs reaches it (a
    weight that is read around its layer). Where no gradient can be taken, the call alone tells.
    """
    called: set[int] = set()

    def see(layer: Any, _: Any) -> None:
        called.update(id(p) for p in layer._parameters.values() if p is not None)

    layers = [net, *named_layers(net).values()]
    handles = [layer.register_forward_pre_hook(see) for layer in layers]
    before = [(layer, layer.training) for layer in net.sublayers(include_self=True)]
    net.eval()
    try:
        outputs = net(*(paddle.zeros(spec.shape, spec.dtype.value) for spec in inputs))
    finally:
        for handle in handles:
            handle.remove()
        for layer, training in before:
            layer.training = training
    doubtful = [p for p in net.parameters() if not p.stop_gradient and id(p) not in called]
    return {id(p) for p in doubtful} - _reached(outputs, doubtful)


def _reached(outputs: Any, parameters: list[paddle.Tensor]) -> set[int]:
    floats = [
        output
        for output in paddle.utils.flatten(outputs)
        if isinstance(output, paddle.Tensor) and output.is_floating_point() and not output.stop_gradient
    ]
    if not floats or not parameters:
        return set()
    try:
        gradients = paddle.grad(floats, parameters, allow_unused=True)
    except RAISED:  # an operator without a gradient in evaluation mode, such as Paddle's LSTM
        return set()
    return {id(p) for p, gradient in zip(parameters, gradients, strict=True) if gradient is not None}
