"""One Paddle Lite target of the pruned net, with weights in fewer bits."""

from __future__ import annotations

from pathlib import Path

from secateur_api.results import WeightPrecision
from secateur_api.spec import Convert
from secateur_jobs.conversion import to_lite
from secateur_jobs.conversion.export import Exported
from secateur_jobs.conversion.locate import name_of
from secateur_jobs.precision.decide import Decision
from secateur_jobs.precision.ladder import Bits
from secateur_jobs.precision.lite_weights import narrowed, weights_of
from secateur_jobs.runtime.child import ChildDied


class LiteModel:
    """Writes the ``.nb`` of a target with other bits; its graph is that of the one that is proven."""

    def __init__(self, exported: Exported, target: Convert, proven: bytes, folder: Path) -> None:
        """``proven`` is the file with 32-bit weights, as convert made it of the same export."""
        self._target, self._folder, self._layers = target, folder, exported.layers
        folder.mkdir()
        self._readable = self._of(exported, proven)
        self.weights = [] if self._readable is None else weights_of(self._readable)

    @property
    def is_rewritable(self) -> bool:
        """Whether the proven file can be made of what the converter's passes leave."""
        return self._readable is not None

    @property
    def free(self) -> list[str]:
        """The weights that can be stored in fewer bits."""
        return [weight.name for weight in self.weights if not weight.kept]

    def write(self, bits: Bits) -> Path:
        """Return the file with these bits; the next call overwrites it."""
        if self._readable is None:
            raise RuntimeError(f"{name_of(self._target)} has no program to write with other bits")
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
                why=weight.kept or note or decision.why.get(weight.name) or self._unknown(weight.name, bits),
            )
            for weight in self.weights
        ]

    @staticmethod
    def _unknown(name: str, bits: Bits) -> str:
        return "" if name in bits else "x86, where bits are decided, has it in another form"

    def _of(self, exported: Exported, proven: bytes) -> to_lite.Readable | None:
        """Return the proven program; None where passes that run again make another one of it."""
        for fuse in (True, False):
            try:
                found = to_lite.readable(exported, self._target, self._folder, fuse=fuse)
                if to_lite.is_same(proven, self._written(found).read_bytes()):
                    return found
            except ChildDied as died:
                died.raise_if_fault(f"the conversion to {name_of(self._target)}")
        return None

    def _written(self, model: to_lite.Readable) -> Path:
        return to_lite.written(model, self._target, self._folder)
