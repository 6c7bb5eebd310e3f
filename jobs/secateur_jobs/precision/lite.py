"""Paddle Lite models in fewer bits: decided on x86, where they run, for every backend."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from secateur_api.quantity import parse_percent
from secateur_api.spec import Backend, Convert, Format, Quantize, WeightBits
from secateur_jobs.conversion.export import Exported
from secateur_jobs.precision.change import Change
from secateur_jobs.precision.decide import decide, missed
from secateur_jobs.precision.lite_model import LiteModel
from secateur_jobs.precision.lite_weights import Weight
from secateur_jobs.precision.narrowed import Bench, Narrowed

X86 = Convert(format=Format.PADDLE_LITE, backend=Backend.X86)

Costs = Callable[[list[Weight]], Mapping[str, float]]
"""What each weight costs in 8 bits."""


class LitePrecision:
    """The weights' bits, decided once."""

    def __init__(
        self, asked: Quantize, exported: Exported, model: LiteModel, bench: Bench, costs: Costs
    ) -> None:
        """``model`` is x86's, ``bench`` measures it.

        Raises InvalidInput (PRECISION_MISSED) where the bits that were asked for change too much.
        """
        self._exported = exported
        free = [weight for weight in model.weights if not weight.kept]
        self._decision = decide(
            asked.weights,
            model.free,
            parse_percent(asked.max_drop),
            bench.chooses,
            bench.judges,
            lambda: costs(free),
        )
        if self._decision.missed and asked.weights is not WeightBits.AUTO:
            raise missed(self._decision, asked, exported.layers)
        self._change: Change | None = bench.judges(self._decision.bits) if self._decision.bits else None

    def narrow(self, target: Convert, floats: bytes, folder: Path) -> Narrowed:
        """Return the file of a target; ``floats`` is the one that convert made."""
        model, decision = LiteModel(self._exported, target, floats, folder), self._decision
        bits = {name: decision.bits[name] for name in model.free if name in decision.bits}
        note = "" if bits else decision.missed or "no weight of it can be stored in fewer bits"
        if not model.is_rewritable:
            note = "Paddle Lite makes another program of it when its passes run again"
        content = model.write(bits).read_bytes() if bits else floats
        if bits and len(content) >= len(floats):
            bits, content, note = {}, floats, "fewer bits make no smaller file"
        rows = model.account(bits, decision, note)
        return Narrowed(content, rows, self._change if bits else None, note)
