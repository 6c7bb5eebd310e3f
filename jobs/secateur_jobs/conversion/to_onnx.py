"""Convert an exported network to ONNX, in a child process that may abort."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

from secateur_api.conditions import Reason
from secateur_api.spec import Convert
from secateur_jobs.conversion import locate
from secateur_jobs.conversion.export import Exported
from secateur_jobs.conversion.locate import unconvertible
from secateur_jobs.conversion.onnx_child import OPSET
from secateur_jobs.conversion.program import Op
from secateur_jobs.runtime.child import Child, ChildDied
from secateur_jobs.runtime.errors import Retryable

LIMIT_SECONDS = 300.0
OPTIONS = f"opset_version={OPSET} optimize_tool=None"

_DISK_FULL = re.compile(r"No space left on device|File too large")
_WHO = "the conversion to onnx"


def convert(exported: Exported, target: Convert, folder: Path) -> Path:
    """Write ``model.onnx`` into ``folder`` and return its path.

    Raises InvalidInput (CONVERSION_UNSUPPORTED) naming the operator, Retryable for a killed converter or a
    full disk.
    """
    try:
        return _export(exported.program, exported, folder)
    except ChildDied as died:
        died.raise_if_fault(_WHO)
        if _DISK_FULL.search(died.output):
            raise Retryable(Reason.STORE_FULL, f"no space left to convert to onnx in {folder}") from None
        program = exported.program.read_bytes()
        op = _located(program, exported, folder)
        raise unconvertible(target, program, exported, op, died.last_line) from None


def _export(program: Path, exported: Exported, folder: Path) -> Path:
    output = folder / f"{program.stem}.onnx"
    module = "secateur_jobs.conversion.onnx_child"
    argv: list[str | Path] = [sys.executable, "-m", module, program, exported.params, output]
    with Child(argv, {**os.environ, "TMPDIR": str(folder)}, LIMIT_SECONDS) as child:
        child.finish()
    return output


def _located(program: bytes, exported: Exported, folder: Path) -> Op | None:
    """Find the operator: Paddle2ONNX does not name it. Each attempt takes some 2 s."""
    scratch = folder / "locate"
    scratch.mkdir(exist_ok=True)
    # it looks for the parameters beside the program, whatever it is told
    shutil.copy(exported.params, scratch / "prefix.pdiparams")

    def attempt(candidate: bytes) -> None:
        path = scratch / "prefix.pdmodel"
        path.write_bytes(candidate)
        _export(path, exported, scratch)

    try:
        return locate.first_failing(program, attempt, _WHO)
    finally:
        shutil.rmtree(scratch)
