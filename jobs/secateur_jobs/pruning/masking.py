"""The masked net: what a net gives that does not use some channels, all tensors whole. It equals the cut one.

At every consumer the weights of the removed input channels are zero. (Zeroing the producers instead would not
do: a bias, a normalisation or a sigmoid behind them revives the channel.) A layer normalisation takes mean
and variance over the kept channels alone, since a removed one would count whatever its value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning.engine import ChannelGroup, Keep, norms_kept
from secateur_jobs.pruning.forwards import Forwards
from secateur_jobs.pruning.layer_norms import over_kept


class Mask:
    """Masks channels of some groups of one net, ``layers`` by structured name."""

    def __init__(self, layers: Mapping[str, paddle.nn.Layer], groups: Sequence[ChannelGroup]) -> None:
        self._groups, self._forwards = groups, Forwards()
        self._pieces = [
            (group.name, piece, getattr(layers[piece.layer], piece.parameter))
            for group in groups
            for piece in group.slices_of("in")
        ]
        self._originals = {id(p): (p, p.clone().detach()) for *_, p in self._pieces}
        self._norms = {norm.layer: layers[norm.layer] for group in groups for norm in group.norms}
        consumers = dict.fromkeys(name for group in groups for name in group.consumers)
        self.layers = [*(layers[name] for name in consumers), *self._norms.values()]
        """The layers that a mask changes: what runs before the first of them stays as it is."""

    def apply(self, keep: Keep) -> None:
        """Mask the channels that ``keep`` does not keep, for all groups; replaces an earlier mask."""
        masked = {key: original for key, (_, original) in self._originals.items()}
        for group, piece, parameter in self._pieces:
            shape = [1] * parameter.ndim
            shape[piece.axis] = -1
            mask = paddle.to_tensor(piece.kept(np.asarray(keep[group], bool)).reshape(shape))
            masked[id(parameter)] = masked[id(parameter)] * mask.astype(parameter.dtype)
        for key, (parameter, _) in self._originals.items():
            parameter.set_value(masked[key])
        self._forwards.restore()
        for name, kept in norms_kept(self._groups, keep).items():
            if not kept.all():
                self._forwards.put(self._norms[name], over_kept(self._norms[name], kept))

    def remove(self) -> None:
        """Give weights and layers back, bit for bit."""
        for parameter, original in self._originals.values():
            parameter.set_value(original)
        self._forwards.restore()
