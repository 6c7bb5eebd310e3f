"""A net in float64 for a while, where a right cut and a wrong one lie many orders of magnitude apart."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from secateur_jobs.paddle_env import paddle


@contextmanager
def in_float64(net: paddle.nn.Layer) -> Iterator[None]:
    """While it lasts, all float32 tensors of ``net`` are float64, and so is what its ``forward`` creates.

    The tensors stay the same objects. Afterwards each has its own memory again, with all that was in it.
    """
    singles = [t for t in (*net.parameters(), *net.buffers()) if t.dtype == paddle.float32]
    own = [(tensor, _held(tensor)) for tensor in {id(t): t for t in singles}.values()]
    default = paddle.get_default_dtype()
    paddle.set_default_dtype("float64")
    try:
        for tensor, _ in own:
            # never set(): a recurrent layer's tensors lie side by side in one piece of memory
            double = tensor.astype("float64")  # kept until it is shared: get_tensor() does not hold it
            tensor.get_tensor()._share_data_with(double.get_tensor())
        yield
    finally:
        paddle.set_default_dtype(default)
        for tensor, single in own:
            tensor.get_tensor()._share_data_with(single)


def _held(tensor: paddle.Tensor) -> Any:
    """Return something that holds the tensor's memory and says what lies there."""
    held = paddle.base.core.DenseTensor()
    held._share_data_with(tensor.get_tensor())
    return held
