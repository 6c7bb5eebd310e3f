"""Convert one network to every target of a job, store the files, and prove that each is the same model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from secateur_api.results import Artifact, Parity
from secateur_api.spec import Backend, Convert, Format, InputSpec, PruningJobSpec
from secateur_jobs.conversion import parity, to_lite, to_onnx, toolchain
from secateur_jobs.conversion.batches import Batch
from secateur_jobs.conversion.converted import ConvertedModel
from secateur_jobs.conversion.export import Exported
from secateur_jobs.conversion.locate import name_of
from secateur_jobs.conversion.rewriting import export_rewritten
from secateur_jobs.paddle_env import paddle
from secateur_jobs.runtime.context import StageContext
from secateur_jobs.training.forward import eval_mode, forward
from secateur_jobs.training.outputs import Outputs

Role = Literal["baseline", "pruned"]


def convert_model(
    net: paddle.nn.Layer,
    spec: PruningJobSpec,
    role: Role,
    context: StageContext,
    samples: list[Batch],
    span: tuple[float, float] = (0.0, 100.0),
) -> list[Artifact]:
    """Convert ``net`` to every target of ``spec.convert`` and store the files with this stage's unit.

    ``samples`` are batches of inputs, each in the order of ``forward`` and of the declared shapes; every
    model that runs on this machine (x86, onnx) must agree with Paddle on them. ``span`` is the part
    of the stage's progress (percent) that this is.

    Raises InvalidInput: TOOLCHAIN_MISSING, CONVERSION_UNSUPPORTED, PARITY_MISSED; Retryable for a fault.
    """
    toolchain.require(spec.convert)
    folder = context.scratch / role
    folder.mkdir()
    context.progress(span[0], f"export the {role} model")
    exported = export_rewritten(net, spec.model, folder)
    reference = reference_outputs(net, samples)
    artifacts = []
    for index, target in enumerate(spec.convert):
        begin = span[0] + (span[1] - span[0]) * (index + 0.5) / (len(spec.convert) + 0.5)
        context.progress(begin, f"convert the {role} model to {name_of(target)}")
        path, checked = convert_checked(
            exported, target, spec.model.inputs, samples, reference, f"the {role} model", folder
        )
        artifacts.append(_store(path, target, role, context, checked))
    return artifacts


def convert_to(exported: Exported, target: Convert, folder: Path) -> Path:
    """Write the converted model into ``folder`` and return its path; raises as :func:`convert_model`."""
    module = to_lite if target.format is Format.PADDLE_LITE else to_onnx
    return module.convert(exported, target, folder)


def convert_checked(
    exported: Exported,
    target: Convert,
    inputs: list[InputSpec],
    samples: list[Batch],
    reference: list[Outputs],
    what: str,
    folder: Path,
) -> tuple[Path, Parity | None]:
    """Write the converted model into ``folder``; return its path, and how far its outputs are off.

    That is None for arm, which does not run here. ``reference`` are Paddle's outputs of ``samples``; ``what``
    names the model in messages. Raises as :func:`convert_model`.
    """
    path = convert_to(exported, target, folder)
    if target.backend is Backend.ARM:
        return path, None
    return path, _parity(path, inputs, samples, reference, f"{what} as {name_of(target)}", folder)


def reference_outputs(net: paddle.nn.Layer, samples: Sequence[Batch]) -> list[Outputs]:
    """Return Paddle's outputs of each batch, as arrays, in the order in which they are exported."""
    with eval_mode(net), paddle.no_grad():
        return [forward(net, batch).arrays() for batch in samples]


def _parity(
    path: Path,
    inputs: list[InputSpec],
    samples: list[Batch],
    reference: list[Outputs],
    what: str,
    folder: Path,
) -> Parity:
    with ConvertedModel(path, inputs, folder) as model:
        converted = [model.run(batch) for batch in samples]
    return parity.measure(reference, converted, what)


def _store(
    path: Path, target: Convert, role: Role, context: StageContext, checked: Parity | None
) -> Artifact:
    name = f"{role}-{name_of(target).replace('/', '-')}"
    ref = context.put(name, f"{name}{path.suffix}", path.read_bytes())
    return Artifact(
        role=role,
        format=target.format,
        backend=target.backend,
        path=ref.path,
        sha256=ref.sha256,
        bytes=ref.bytes,
        parity=checked,
    )
