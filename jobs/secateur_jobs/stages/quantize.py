"""Stage quantize: the pruned model's weights in fewer bits, as far as the metric on the runtime bears it."""

from __future__ import annotations

from collections import Counter
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
from secateur_api.spec import Backend, Convert, Format, Quantize
from secateur_api.stage import FileRef
from secateur_jobs import checkpoint
from secateur_jobs.conversion import toolchain
from secateur_jobs.conversion.batches import first_batches
from secateur_jobs.conversion.convert import convert_checked, reference_outputs
from secateur_jobs.conversion.export import Exported, export
from secateur_jobs.conversion.locate import name_of
from secateur_jobs.conversion.rewriting import for_export
from secateur_jobs.paddle_env import paddle
from secateur_jobs.precision.comparison import Answers
from secateur_jobs.precision.cost import costs_of
from secateur_jobs.precision.lite import X86, LitePrecision
from secateur_jobs.precision.lite_model import LiteModel
from secateur_jobs.precision.narrowed import Bench, Narrowed
from secateur_jobs.runtime.context import StageContext
from secateur_jobs.runtime.errors import InvalidInput
from secateur_jobs.sources import splits_of
from secateur_jobs.training.answers import form_of_answers
from secateur_jobs.training.held import parts_of

_ONNX = "only the weights of paddle-lite models are stored in fewer bits"


def run(context: StageContext) -> StageOutcome:
    """Store the weights of the pruned model's files in fewer bits; commits the files and ``manifest``.

    Also commits ``precision`` (PrecisionTable). What is not narrowed is shipped as convert made it.
    """
    spec = context.request.spec
    if spec.quantize is None:
        raise InvalidInput(Reason.INVALID_SPEC, "stage quantize needs spec.quantize")
    toolchain.require(spec.convert)
    context.progress(1, "load the pruned model")
    made = context.store.unit_json(context.upstream("convert"), "manifest", Manifest)
    checkpoint_of = context.store.unit_file(context.upstream("model"), "checkpoint")
    net = for_export(checkpoint.from_bytes(checkpoint_of, spec.model), spec.model)
    exported = export(net, spec.model.inputs, _folder(context, "export"))
    lite: LitePrecision | None = None
    shipped: list[Artifact] = []
    tables: list[TargetPrecision] = []
    for before in (one for one in made.artifacts if one.role == "pruned"):
        target = Convert(format=before.format, backend=before.backend)
        floats = context.store.get(_ref(before))
        if target.format is Format.PADDLE_LITE:
            lite = lite or _decided(context, spec.quantize, net, exported, made)
            context.progress(95, f"write {name_of(target)}")
            found = lite.narrow(target, floats, context.scratch / f"narrow-{len(shipped)}")
        else:
            found = Narrowed(floats, [], None, _ONNX)
        shipped.append(_stored(context, before, found))
        tables.append(
            TargetPrecision(
                format=target.format, backend=target.backend, weights=found.weights, note=found.note
            )
        )
    context.put_json("precision", PrecisionTable(targets=tables))
    kept = [one for one in made.artifacts if one.role != "pruned"]
    manifest = context.put_json("manifest", made.model_copy(update={"artifacts": [*kept, *shipped]}))
    return StageOutcome(quantize=ConvertOutcome(artifacts=shipped, manifest=manifest))


def _decided(
    context: StageContext, asked: Quantize, net: paddle.nn.Layer, exported: Exported, made: Manifest
) -> LitePrecision:
    spec, parts = context.request.spec, parts_of(context)
    form = form_of_answers(net, splits_of(context), spec.evaluation)
    floats = _floats(context, net, exported, made)
    model = LiteModel(exported, X86, floats.read_bytes(), context.scratch / "decide")
    steps = iter(range(10, 95, 5))
    bench = Bench(
        floats=floats,
        write=model.write,
        answers=Answers(spec.model.inputs, made.outputs, spec.evaluation, form),
        parts=parts,
        scratch=context.scratch,
        say=lambda step: context.progress(next(steps, 94), step),
    )
    return LitePrecision(
        asked,
        exported,
        model,
        bench,
        lambda weights: costs_of(net, weights, parts.choosing, spec.evaluation),
    )


def _floats(context: StageContext, net: paddle.nn.Layer, exported: Exported, made: Manifest) -> Path:
    """Return x86's file with 32-bit weights: convert's, or where x86 is no target one that is proven here."""
    for one in made.artifacts:
        if (one.role, one.format, one.backend) == ("pruned", X86.format, X86.backend):
            return context.store.fetch(_ref(one), context.scratch)
    inputs = context.request.spec.model.inputs
    samples = first_batches(splits_of(context).eval, inputs)
    reference = reference_outputs(net, samples)
    folder = _folder(context, "proof")
    return convert_checked(exported, X86, inputs, samples, reference, "the pruned model", folder)[0]


def _stored(context: StageContext, before: Artifact, found: Narrowed) -> Artifact:
    filename = before.path.rsplit("/", 1)[-1]
    ref = context.put(filename.rsplit(".", 1)[0], filename, found.content)
    update = {
        "path": ref.path,
        "sha256": ref.sha256,
        "bytes": ref.bytes,
        "precision": _precision(before, found),
    }
    return before.model_copy(update=update)


def _precision(before: Artifact, found: Narrowed) -> Precision | None:
    if found.change is None:
        return None
    elements: Counter[int] = Counter()
    for weight in found.weights:
        elements[weight.bits] += weight.elements
    runs = before.backend is not Backend.ARM
    return Precision(
        int8=elements[8],
        int16=elements[16],
        fp32=elements[32],
        max_rel=found.change.max_rel if runs else None,
        agreement=found.change.agreement if runs else None,
        drop=found.change.drop if runs else None,
        samples=found.change.samples if runs else 0,
    )


def _folder(context: StageContext, name: str) -> Path:
    folder = context.scratch / name
    folder.mkdir()
    return folder


def _ref(made: Artifact) -> FileRef:
    return FileRef(path=made.path, sha256=made.sha256, bytes=made.bytes)
