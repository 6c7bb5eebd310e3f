"""Stage quantize: the pruned model's weights in fewer bits, as far as the metric on the runtime bears it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from pathlib import Path

from secateur_api.conditions import Reason
from secateur_api.results import (
    Artifact,
    ConvertOutcome,
    Manifest,
    Precision,
    PrecisionTable,
    StageOutcome,
    TargetPrecision,
)
from secateur_api.spec import Backend, Convert, Format, Quantize, target_name
from secateur_jobs import checkpoint
from secateur_jobs.conversion import toolchain
from secateur_jobs.conversion.batches import first_batches
from secateur_jobs.conversion.convert import convert_checked, reference_outputs
from secateur_jobs.conversion.export import Exported, export
from secateur_jobs.conversion.rewriting import for_export
from secateur_jobs.paddle_env import paddle
from secateur_jobs.precision.comparison import Answers
from secateur_jobs.precision.cost import costs_of
from secateur_jobs.precision.ladder import Bits
from secateur_jobs.precision.lite import X86, LitePrecision
from secateur_jobs.precision.lite_model import LiteModel
from secateur_jobs.precision.lite_weights import Weight
from secateur_jobs.precision.narrowed import Bench, Narrowed
from secateur_jobs.precision.onnx import OnnxPrecision
from secateur_jobs.precision.onnx_model import OnnxModel
from secateur_jobs.runtime.context import StageContext
from secateur_jobs.runtime.errors import InvalidInput
from secateur_jobs.training.answers import form_to_compare
from secateur_jobs.training.held import Parts, parts_of
from secateur_jobs.user_code import Splits

_CALIBRATED = 32
"""Batches of training items that tell the ranges of what flows."""


def run(context: StageContext) -> StageOutcome:
    """Store the weights of the pruned model's files in fewer bits; commits the files and ``manifest``.

    Also commits ``precision`` (PrecisionTable). What is not narrowed is shipped as convert made it.
    """
    spec = context.request.spec
    if spec.quantize is None:
        raise InvalidInput(Reason.INVALID_SPEC, "stage quantize needs spec.quantize")
    toolchain.require(spec.convert)
    work = _Work.load(context, spec.quantize)
    shipped: list[Artifact] = []
    tables: list[TargetPrecision] = []
    for before in (one for one in work.made.artifacts if one.role == "pruned"):
        work.say(f"narrow {target_name(before.format, before.backend)}")
        found = work.narrow(before)
        table = TargetPrecision(
            format=before.format, backend=before.backend, weights=found.weights, note=found.note
        )
        shipped.append(_stored(context, before, found, table))
        tables.append(table)
    context.put_json("precision", PrecisionTable(targets=tables))
    kept = [one for one in work.made.artifacts if one.role != "pruned"]
    manifest = context.put_json("manifest", work.made.model_copy(update={"artifacts": [*kept, *shipped]}))
    return StageOutcome(quantize=ConvertOutcome(artifacts=shipped, manifest=manifest))


@dataclass
class _Work:
    """The pruned net, its converted models, and the data that they are compared on."""

    context: StageContext
    asked: Quantize
    made: Manifest
    net: paddle.nn.Layer
    exported: Exported
    parts: Parts
    answers: Answers
    _numbers: count[int]

    @classmethod
    def load(cls, context: StageContext, asked: Quantize) -> _Work:
        """Read what the upstream stages left."""
        spec, store = context.request.spec, context.store
        context.progress(1, "load the pruned model")
        made = store.unit_json(context.upstream("convert"), "manifest", Manifest)
        pruned = checkpoint.from_bytes(store.unit_file(context.upstream("model"), "checkpoint"), spec.model)
        net = for_export(pruned, spec.model)
        parts = parts_of(context)
        form = form_to_compare(net, Splits(parts.train, parts.eval), spec.evaluation)
        folder = context.scratch / "export"
        folder.mkdir()
        return cls(
            context=context,
            asked=asked,
            made=made,
            net=net,
            exported=export(net, spec.model.inputs, folder),
            parts=parts,
            answers=Answers(spec.model.inputs, made.outputs, spec.evaluation, form),
            _numbers=count(),
        )

    def say(self, step: str) -> None:
        """Tell what is done; how many steps there are follows from what they find."""
        self.context.progress(min(5 + 2 * next(self._numbers), 98), step)

    def narrow(self, before: Artifact) -> Narrowed:
        """Return what is shipped in place of a file of convert."""
        if before.format is Format.ONNX:
            return self._onnx(self.context.store.fetch(before.file, self.context.scratch)).narrow()
        target = Convert(format=before.format, backend=before.backend)
        return self._lite.narrow(target, self.context.store.get(before.file), self._folder())

    @cached_property
    def _lite(self) -> LitePrecision:
        floats = self._floats()
        model = LiteModel(self.exported, X86, floats.read_bytes(), self._folder())
        bench = self._bench(floats, model.write)
        return LitePrecision(self.asked, self.exported, model, bench, self._costs)

    def _onnx(self, floats: Path) -> OnnxPrecision:
        inputs = self.answers.inputs

        def model(computed: bool) -> OnnxModel:
            samples = first_batches(self.parts.train, inputs, _CALIBRATED) if computed else []
            return OnnxModel(floats, self.exported.layers, samples, self._folder(), computed=computed)

        return OnnxPrecision(
            asked=self.asked,
            floats=floats,
            inputs=inputs,
            batches=first_batches(self.parts.eval, inputs),
            model=model,
            bench=lambda model: self._bench(floats, model.write),
            costs=self._costs_of_onnx,
            scratch=self.context.scratch,
        )

    def _bench(self, floats: Path, write: Callable[[Bits], Path]) -> Bench:
        return Bench(
            floats=floats,
            write=write,
            answers=self.answers,
            parts=self.parts,
            scratch=self.context.scratch,
            say=self.say,
        )

    def _costs(self, weights: list[Weight]) -> Mapping[str, float]:
        return costs_of(self.net, weights, self.parts.choosing, self.answers.evaluation)

    def _costs_of_onnx(self, model: OnnxModel) -> Mapping[str, float]:
        parameters = dict(self.net.named_parameters())
        tensors = {
            name: (parameters[f"{layer}.weight"], axis)
            for name, (layer, axis) in model.in_paddle().items()
            if f"{layer}.weight" in parameters
        }
        costs = self._costs([Weight(tensor.name, tensor.size, "", axis) for tensor, axis in tensors.values()])
        return {name: costs[t.name] for name, (t, _) in tensors.items() if t.name in costs}

    def _floats(self) -> Path:
        """Return x86's file with 32-bit weights: convert's, or where x86 is no target one proven here."""
        for one in self.made.artifacts:
            if (one.role, one.format, one.backend) == ("pruned", X86.format, X86.backend):
                return self.context.store.fetch(one.file, self.context.scratch)
        inputs = self.answers.inputs
        samples = first_batches(self.parts.eval, inputs)
        reference = reference_outputs(self.net, samples)
        folder = self._folder()
        folder.mkdir()
        return convert_checked(self.exported, X86, inputs, samples, reference, "the pruned model", folder)[0]

    def _folder(self) -> Path:
        return self.context.scratch / f"work-{next(self._numbers)}"


def _stored(context: StageContext, before: Artifact, found: Narrowed, table: TargetPrecision) -> Artifact:
    filename = before.path.rsplit("/", 1)[-1]
    ref = context.put(filename.rsplit(".", 1)[0], filename, found.content)
    file = {"path": ref.path, "sha256": ref.sha256, "bytes": ref.bytes}
    return before.model_copy(update={**file, "precision": _precision(before, found, table)})


def _precision(before: Artifact, found: Narrowed, table: TargetPrecision) -> Precision | None:
    if found.change is None:
        return None
    runs = before.backend is not Backend.ARM
    return Precision(
        bits8=table.elements(8),
        bits16=table.elements(16),
        bits32=table.elements(32),
        max_rel=found.change.max_rel if runs else None,
        agreement=found.change.agreement if runs else None,
        drop=found.change.drop if runs else None,
        samples=found.change.samples if runs else 0,
        activations=found.activations,
    )
