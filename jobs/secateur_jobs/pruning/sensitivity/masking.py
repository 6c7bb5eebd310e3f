"""One group's consumers without some of its channels: the masked net, which equals the cut one."""

from __future__ import annotations

import numpy as np

from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning.engine import ChannelGroup


class ConsumerMask:
    """The consumers' weights of one group; :meth:`apply` zeroes the inputs of removed channels."""

    def __init__(self, layers: dict[str, paddle.nn.Layer], group: ChannelGroup) -> None:
        self._pieces = [
            (piece, getattr(layers[piece.layer], piece.parameter)) for piece in group.slices_of("in")
        ]
        self._originals = {id(p): (p, p.clone().detach()) for _, p in self._pieces}
        self.layers = [layers[name] for name in group.consumers]
        """The consuming layers."""

    def apply(self, keep: np.ndarray) -> None:
        """Mask the channels that ``keep`` (one bool per channel) does not keep; replaces an earlier mask."""
        masked = {key: original for key, (_, original) in self._originals.items()}
        for piece, parameter in self._pieces:
            shape = [1] * parameter.ndim
            shape[piece.axis] = -1
            mask = paddle.to_tensor(piece.kept(keep).reshape(shape)).astype(parameter.dtype)
            masked[id(parameter)] = masked[id(parameter)] * mask
        for key, (parameter, _) in self._originals.items():
            parameter.set_value(masked[key])

    def remove(self) -> None:
        """Give the weights back, bit for bit."""
        for parameter, original in self._originals.values():
            parameter.set_value(original)
