"""An ONNX model in fewer bits, and if asked for, with layers that compute in int8 where that is faster."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from secateur_api.conditions import Reason
from secateur_api.quantity import parse_percent
from secateur_api.spec import Activations, InputSpec, Quantize, WeightBits
from secateur_jobs.conversion.batches import Batch
from secateur_jobs.conversion.onnx_gates import same_twice
from secateur_jobs.conversion.onnx_precision import computes_in_int8
from secateur_jobs.measure.latency import compare
from secateur_jobs.measure.statistics import speedup
from secateur_jobs.precision.decide import decide, missed
from secateur_jobs.precision.narrowed import Bench, Narrowed
from secateur_jobs.precision.onnx_model import OnnxModel
from secateur_jobs.runtime.errors import InvalidInput

_WARMUP, _RUNS = 20, 200
_FASTER = 1.02
"""Least speed-up: that of a model against itself is measured as up to this."""
INT16 = "onnx models store weights in 8 bits or as floats"


@dataclass
class OnnxPrecision:
    """One model of the pruned net."""

    asked: Quantize
    floats: Path
    inputs: list[InputSpec]
    batches: list[Batch]
    """Batches of the evaluation set: they must come out the same twice, and are timed."""
    model: Callable[[bool], OnnxModel]
    """Makes the model, computing in int8 or not."""
    bench: Callable[[OnnxModel], Bench]
    costs: Callable[[OnnxModel], Mapping[str, float]]
    scratch: Path

    def narrow(self) -> Narrowed:
        """Return the smallest file that holds; raises InvalidInput (PRECISION_MISSED)."""
        if self.asked.weights is WeightBits.INT16:
            return Narrowed(self.floats.read_bytes(), [], None, INT16)
        notes = []
        if self.asked.activations is Activations.INT8:
            try:
                found = self._with(computed=True)
            except InvalidInput as error:
                if error.reason is not Reason.DATASET_INVALID:
                    raise
                notes = [f"layers compute in floats: {error.message}"]  # which tells no ranges
            else:
                if found.change is not None:
                    return found
                notes = [f"in 8 bits throughout, {found.note}"]
        found = self._with(computed=False)
        return replace(found, note="; ".join([*notes, *filter(None, [found.note])]))

    def _with(self, *, computed: bool) -> Narrowed:
        model = self.model(computed)
        bench = self.bench(model)
        decision = decide(
            self.asked.weights,
            model.free,
            parse_percent(self.asked.max_drop),
            bench.chooses,
            bench.judges,
            lambda: self.costs(model),
        )
        if decision.missed and self.asked.weights is not WeightBits.AUTO and not computed:
            raise missed(decision, self.asked, {w.name: w.layer for w in model.weights})
        bits, content = decision.bits, self.floats.read_bytes()
        note = "" if bits else decision.missed or "no weight of it can be stored in fewer bits"
        if bits:
            file = model.write(bits)
            note = self._refused(file, computed=computed)
            if not note:
                used = Activations.INT8 if computed else Activations.NONE
                rows = model.account(bits, decision, "")
                return Narrowed(file.read_bytes(), rows, bench.judges(bits), activations=used)
        return Narrowed(content, model.account({}, decision, note), None, note)

    def _refused(self, file: Path, *, computed: bool) -> str:
        """Say why a file is not shipped, whatever its answers are; nothing where it is."""
        if file.stat().st_size >= self.floats.stat().st_size:
            return "fewer bits make no smaller file"
        if computed and not computes_in_int8(file):
            return "no layer of it can compute in them"
        try:
            same_twice(file, self.inputs, self.batches, self.scratch)
        except InvalidInput as error:
            return error.message
        factor = self._speedup(file) if computed else None
        return f"it is not faster ({factor:.2f}x)" if factor is not None and factor <= _FASTER else ""

    def _speedup(self, file: Path) -> float:
        timed = compare(
            self.floats,
            file,
            self.inputs,
            self.batches[0],
            warmup=_WARMUP,
            runs=_RUNS,
            scratch=self.scratch,
            report=lambda share: None,
        )
        return speedup(timed.baseline_seconds, timed.pruned_seconds)
