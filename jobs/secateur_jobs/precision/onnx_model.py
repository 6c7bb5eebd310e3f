"""The pruned net as ONNX, with weights in fewer bits."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from secateur_api.results import WeightPrecision
from secateur_jobs.conversion.batches import Batch
from secateur_jobs.conversion.onnx_precision import forms, quantized, weights_of
from secateur_jobs.conversion.onnx_rewrites import Form
from secateur_jobs.conversion.onnx_weights import Kind, Weight
from secateur_jobs.precision.decide import Decision
from secateur_jobs.precision.ladder import Bits


class OnnxModel:
    """Writes the ``.onnx`` with other bits; 16 are halves (fp16)."""

    def __init__(
        self, floats: Path, layers: Mapping[str, str], samples: list[Batch], folder: Path, *, computed: bool
    ) -> None:
        """``samples`` tell the ranges of what flows, for layers that are ``computed`` with in 8 bits."""
        folder.mkdir()
        self._floats, self._folder = floats, folder
        self._samples, self._computed = samples, computed
        self.weights = weights_of(floats, folder, layers)

    @property
    def free(self) -> list[str]:
        """The weights that can be stored in 8 bits."""
        return [weight.name for weight in self.weights if not weight.why_not]

    def write(self, bits: Bits) -> Path:
        """Return the file with these bits; the next call overwrites it."""
        small = [weight for weight in self.weights if bits.get(weight.name) == 8]
        chosen = forms(small, computed=self._computed, activations=self._computed)
        halved = {w.name for w in self.weights if bits.get(w.name) == 16 and not w.why_not_fp16}
        chosen |= dict.fromkeys(sorted(halved), Form.STORED_FP16)
        return quantized(self._floats, self._folder, chosen, self._samples)

    def account(self, bits: Bits, decision: Decision, note: str) -> list[WeightPrecision]:
        """Say of each weight what it is stored in and why."""
        rows = []
        for weight in self.weights:
            width, kept = bits.get(weight.name, 32), weight.why_not
            if width == 16 and weight.why_not_fp16:
                width, kept = 32, weight.why_not_fp16
            rows.append(
                WeightPrecision(
                    weight=weight.name,
                    layer=weight.layer,
                    elements=weight.elements,
                    bits=width,
                    cost=decision.costs.get(weight.name),
                    why=kept or note or decision.why.get(weight.name, ""),
                )
            )
        return rows

    def in_paddle(self) -> dict[str, tuple[str, int]]:
        """Return the layer of each weight that one has, and of Paddle's weight the axis of the scales."""
        return {
            weight.name: (weight.layer, axis)
            for weight in self.weights
            if not weight.why_not and (axis := _axis_in_paddle(weight)) is not None
        }


def _axis_in_paddle(weight: Weight) -> int | None:
    if weight.kind is Kind.CONV:  # has Paddle's form, transposed or not
        return next(axis for axis in range(len(weight.shape)) if axis not in weight.axes)
    return {Kind.LINEAR: 1, Kind.EMBEDDING: 0}.get(weight.kind)
