"""What was converted, by which tools and options."""

from __future__ import annotations

from collections.abc import Sequence

from secateur_api.results import Artifact, Manifest
from secateur_api.spec import Convert, Format, PruningJobSpec
from secateur_jobs.conversion import to_lite, to_onnx, toolchain
from secateur_jobs.conversion.unsupported import name_of
from secateur_jobs.runtime.toolchain import toolchain as packages
from secateur_jobs.training.outputs import Structure


def manifest(spec: PruningJobSpec, artifacts: Sequence[Artifact], outputs: Structure) -> Manifest:
    """Describe the converted models; versions are those of the tools that this process used."""
    versions = packages()
    if any(target.format is Format.PADDLE_LITE for target in spec.convert):
        lite = toolchain.versions(toolchain.lite_python())
        versions |= {f"lite-{name}": version for name, version in lite.items()}
    return Manifest(
        inputs=spec.model.inputs,
        outputs=outputs,
        artifacts=list(artifacts),
        options={name_of(target): _options(target) for target in spec.convert},
        toolchain=versions,
    )


def _options(target: Convert) -> str:
    return to_onnx.OPTIONS if target.backend is None else to_lite.OPTIONS[target.backend]
