"""Exponential moving average of the weights: steadier than the last step's (Polyak and Juditsky 1992)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from secateur_jobs.paddle_env import paddle


class WeightAverage:
    """The average of a net's trainable parameters over its steps.

    Buffers are not averaged: running statistics belong to one set of weights and are recalibrated to it.
    """

    def __init__(self, net: paddle.nn.Layer, decay: float) -> None:
        """``decay`` 0..1 is the weight of the past."""
        self._parameters = [p for p in net.parameters() if not p.stop_gradient]
        self._average = [p.detach().clone() for p in self._parameters]
        self._decay = decay
        self._steps = 0

    def update(self) -> None:
        """Take in the weights after a step.

        Corrected for its start as Adam's moments are (Kingma and Ba 2015, section 3): after ``t`` steps it
        is the weighted mean of those ``t`` weights alone, so that few steps do not keep the start's.
        """
        self._steps += 1
        share = (1 - self._decay) / (1 - self._decay**self._steps)
        with paddle.no_grad():
            for average, parameter in zip(self._average, self._parameters, strict=True):
                average.set_value(average + (parameter - average) * share)

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Let the net have the averaged weights meanwhile; afterwards its own, to the bit."""
        own = [p.detach().clone() for p in self._parameters]
        self.adopt()
        try:
            yield
        finally:
            _put(self._parameters, own)

    def adopt(self) -> None:
        """Give the net the averaged weights for good."""
        _put(self._parameters, self._average)


def _put(parameters: list[paddle.Tensor], values: list[paddle.Tensor]) -> None:
    for parameter, value in zip(parameters, values, strict=True):
        parameter.set_value(value)
