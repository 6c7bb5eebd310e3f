"""Any network of ``paddle.vision.models``, fitted to small images."""

from __future__ import annotations

from typing import Any

from secateur_jobs.explain import near
from secateur_jobs.paddle_env import paddle


def vision_model(
    name: str,
    num_classes: int = 10,
    scale: float | None = None,
    small_inputs: bool = True,
    channels: int = 3,
    **options: Any,
) -> paddle.nn.Layer:
    """Return ``paddle.vision.models.<name>`` with ``num_classes`` outputs and ``channels`` input channels.

    ``small_inputs`` sets the stride of the first convolution to 1, so that a 32x32 image keeps some extent up
    to the last stage (and costs four times as much). ``scale`` and ``options`` go to the network's own
    function.

    Raises ValueError for an unknown name; TypeError for an option that the network does not know.
    """
    models = paddle.vision.models
    known = [n for n in models.__all__ if n.islower()]
    if name not in known:
        raise ValueError(f"paddle.vision.models has no {name!r}{near(name, known)}")
    if scale is not None:
        options["scale"] = scale
    net = getattr(models, name)(num_classes=num_classes, **options)
    path, first = next((p, m) for p, m in net.named_sublayers() if isinstance(m, paddle.nn.Conv2D))
    if channels != first._in_channels:
        first = _with_channels(first, channels)
        parent, _, last = path.rpartition(".")
        setattr(dict(net.named_sublayers(include_self=True))[parent], last, first)
    if small_inputs:
        first._stride = [1, 1]
    return net


def _with_channels(conv: paddle.nn.Conv2D, channels: int) -> paddle.nn.Conv2D:
    return paddle.nn.Conv2D(
        channels,
        conv._out_channels,
        conv._kernel_size,
        stride=conv._stride,
        padding=conv._padding,
        dilation=conv._dilation,
        bias_attr=False if conv.bias is None else None,
    )
