"""Convert a network and run what comes out, before it is trained; nothing is kept."""

from __future__ import annotations

import tempfile
from pathlib import Path

from secateur_api.spec import Backend, PruningJobSpec
from secateur_jobs.conversion import toolchain
from secateur_jobs.conversion.batches import Batch
from secateur_jobs.conversion.convert import convert_to
from secateur_jobs.conversion.converted import ConvertedModel
from secateur_jobs.conversion.export import export
from secateur_jobs.paddle_env import paddle


def check_conversion(net: paddle.nn.Layer, spec: PruningJobSpec, sample: Batch, scratch: Path) -> None:
    """Convert to every target of ``spec.convert`` and run one batch where this machine can.

    The numbers are not looked at: an untrained network's may be degenerate. Raises InvalidInput:
    TOOLCHAIN_MISSING, CONVERSION_UNSUPPORTED; Retryable for a fault.
    """
    toolchain.require(spec.convert)
    with tempfile.TemporaryDirectory(dir=scratch) as name:
        folder = Path(name)
        exported = export(net, spec.model.inputs, folder)
        for target in spec.convert:
            path = convert_to(exported, target, folder)
            if target.backend is not Backend.ARM:
                with ConvertedModel(path, spec.model.inputs, folder) as model:
                    model.run(sample)
