"""One Paddle Lite target of the pruned net, with weights in fewer bits."""

from __future__ import annotations

from pathlib import Path

from secateur_api.conditions import Reason
from secateur_api.results import WeightPrecision
from secateur_api.spec import Convert
from secateur_jobs.conversion import to_lite
from secateur_jobs.conversion.export import Exported
from secateur_jobs.conversion.locate import name_of
from secateur_jobs.conversion.to_lite import Readable
from secateur_jobs.precision.decide import Decision
from secateur_jobs.precision.ladder import Bits
from secateur_jobs.precision.lite_weights import narrowed, weights_of
from secateur_jobs.runtime.child import ChildDied
from secateur_jobs.runtime.errors import InvalidInput


class LiteModel:
    """Writes the ``.nb`` of a target with other bits; its graph is that of the one that is proven."""

    def __init__(self, exported: Exported, target: Convert, proven: bytes, folder: Path) -> None:
        """``proven`` is the file with 32-bit weights, as convert made it of the same export."""
        self._target, self._folder, self._layers = target, folder, exported.layers
        folder.mkdir()
        self._readable = self._of(exported, proven)
        self.weights = weights_of(self._readable)

    @property
    def free(self) -> list[str]:
        """The weights that can be stored in fewer bits."""
        return [weight.name for weight in self.weights if not weight.kept]

    def write(self, bits: Bits) -> Path:
        """Return the file with these bits; the next call overwrites it."""
        return self._written(narrowed(self._readable, bits))

    def account(self, bits: Bits, decision: Decision, note: str) -> list[WeightPrecision]:
        """Say of each weight what it is stored in and why."""
        return [
            WeightPrecision(
                weight=weight.name,
                layer=self._layers.get(weight.name, weight.name),
                elements=weight.elements,
                bits=bits.get(weight.name, 32),
                cost=decision.costs.get(weight.name),
                why=weight.kept or note or decision.why.get(weight.name, ""),
            )
            for weight in self.weights
        ]

    def _of(self, exported: Exported, proven: bytes) -> Readable:
        for fuse in (True, False):
            found = to_lite.readable(exported, self._target, self._folder, fuse=fuse)
            if self._written(found).read_bytes() == proven:
                return found
        raise RuntimeError(
            f"{name_of(self._target)}: the model with 32-bit weights is not the one of convert"
        )

    def _written(self, model: Readable) -> Path:
        try:
            return to_lite.written(model, self._target, self._folder)
        except ChildDied as died:
            died.raise_if_fault(f"the conversion to {name_of(self._target)}")
            raise InvalidInput(
                Reason.CONVERSION_UNSUPPORTED,
                f"spec.quantize: {name_of(self._target)} cannot be written with other weights: "
                f"{died.last_line or died.how}",
            ) from None
