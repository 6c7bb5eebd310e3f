"""A converted model: what it was made by, and how it runs, in a child process that may crash."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from secateur_api.conditions import Reason
from secateur_api.results import Artifact, Manifest
from secateur_api.spec import Convert, Format, InputSpec, PruningJobSpec
from secateur_jobs.conversion import to_lite, to_onnx, toolchain
from secateur_jobs.conversion.batches import Batch
from secateur_jobs.conversion.locate import name_of
from secateur_jobs.runtime.child import Child, ChildDied
from secateur_jobs.runtime.errors import InvalidInput, StageError
from secateur_jobs.runtime.toolchain import toolchain as packages
from secateur_jobs.training.outputs import Structure

LIMIT_SECONDS = 300.0


def start(command: str, request: dict[str, Any], model: Path, scratch: Path) -> Child:
    """Start a command of ``secateur_lite`` under the interpreter that can run the model (.nb, .onnx)."""
    python = Path(sys.executable) if model.suffix == ".onnx" else toolchain.lite_python()
    return toolchain.start(python, command, request, scratch, LIMIT_SECONDS)


def explain(died: ChildDied, model: Path) -> StageError:
    """Return the error for a model that could not be loaded or run; raises Retryable for a killed process."""
    died.raise_if_fault(f"the run of {model.name}")
    return InvalidInput(
        Reason.CONVERSION_UNSUPPORTED,
        f"{model.name} was converted, but cannot be run: {died.last_line or died.how}",
    )


class ConvertedModel:
    """A loaded ``.nb`` (x86) or ``.onnx`` model, one thread, batch by batch."""

    def __init__(self, model: Path, inputs: Sequence[InputSpec], scratch: Path) -> None:
        self._model = model
        self._names = [i.name for i in inputs]
        self._child = start("run", {"model": str(model)}, model, scratch)

    def __enter__(self) -> ConvertedModel:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._child.__exit__(kind, error, trace)

    def run(self, batch: Batch) -> list[np.ndarray]:
        """Run one batch, inputs in the order of ``forward``; return its outputs in ``forward``'s order."""
        try:
            self._child.send_arrays(dict(zip(self._names, batch, strict=True)))
            found = self._child.receive_arrays()
        except ChildDied as died:
            raise explain(died, self._model) from None
        return [found[str(index)] for index in range(len(found))]


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
