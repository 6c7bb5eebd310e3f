"""Stage convert: the pruned model in every format that the job asks for."""

from __future__ import annotations

from secateur_api.results import ConvertOutcome, StageOutcome
from secateur_jobs import checkpoint
from secateur_jobs.conversion import toolchain
from secateur_jobs.conversion.batches import first_batches
from secateur_jobs.conversion.convert import convert_model, reference_outputs
from secateur_jobs.conversion.converted import manifest
from secateur_jobs.runtime.context import StageContext
from secateur_jobs.sources import splits_of


def run(context: StageContext) -> StageOutcome:
    """Convert ``upstream.model``'s checkpoint; commits the model files and ``manifest``.

    The outcome lists the pruned model's files, the manifest those of the baseline too.
    """
    spec = context.request.spec
    toolchain.require(spec.convert)
    baseline = context.store.unit_json(context.upstream("preflight"), "artifacts", ConvertOutcome)
    context.progress(1, "load the pruned model")
    net = checkpoint.from_bytes(context.store.unit_file(context.upstream("model"), "checkpoint"), spec.model)
    samples = first_batches(splits_of(context).eval, spec.model.inputs)
    pruned = convert_model(net, spec, "pruned", context, samples, span=(10, 99))
    structure = reference_outputs(net, samples[:1])[0].structure
    made = context.put_json("manifest", manifest(spec, [*baseline.artifacts, *pruned], structure))
    return StageOutcome(convert=ConvertOutcome(artifacts=pruned, manifest=made))
