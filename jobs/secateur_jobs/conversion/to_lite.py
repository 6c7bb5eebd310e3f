"""Convert an exported network to Paddle Lite, in a child process that may crash."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from secateur_api.conditions import Reason
from secateur_api.spec import Backend, Convert
from secateur_jobs.conversion import locate, toolchain
from secateur_jobs.conversion.export import Exported
from secateur_jobs.conversion.locate import name_of, unconvertible, unsupported
from secateur_jobs.conversion.patch import patched
from secateur_jobs.conversion.program import Op
from secateur_jobs.runtime.child import ChildDied
from secateur_jobs.runtime.errors import Retryable

LIMIT_SECONDS = 300.0
OPTIONS = {Backend.ARM: "--valid_targets=arm --optimize_out_type=naive_buffer"}
OPTIONS[Backend.X86] = OPTIONS[Backend.ARM].replace("arm", "x86")

_LISTED = re.compile(r"unsupported ops are: (.*?)\.?$", re.MULTILINE)
_DISK_FULL = re.compile(r"io\.cc:\d+ Write\]|No space left on device|File too large")


def convert(exported: Exported, target: Convert, folder: Path) -> Path:
    """Write the ``.nb`` file of a Paddle Lite target into ``folder`` and return its path.

    Raises InvalidInput (CONVERSION_UNSUPPORTED) naming the operator, Retryable for a killed converter or a
    full disk.
    """
    program = patched(exported.program.read_bytes())
    try:
        return _opt(program, exported, target, folder, "model")
    except ChildDied as died:
        died.raise_if_fault(f"the conversion to {name_of(target)}")
        if _DISK_FULL.search(died.output):
            raise Retryable(
                Reason.STORE_FULL, f"no space left to convert to {name_of(target)} in {folder}"
            ) from None
        kinds = _listed(died.output)
        if kinds:
            raise unsupported(target, program, exported, kinds) from None
        op = _located(program, exported, target, folder)
        raise unconvertible(target, program, exported, op, died.last_line) from None


def _opt(program: bytes, exported: Exported, target: Convert, folder: Path, name: str) -> Path:
    if target.backend is None:
        raise ValueError(f"{name_of(target)} is no Paddle Lite target")
    source = folder / f"{name}.{target.backend.value}.pdmodel"
    source.write_bytes(program)
    request = {
        "program": str(source),
        "params": str(exported.params),
        "target": target.backend.value,
        "output": str(folder / f"{name}.{target.backend.value}"),
    }
    with toolchain.start(toolchain.lite_python(), "opt", request, folder, LIMIT_SECONDS) as child:
        return Path(child.receive_json()["path"])


def _listed(output: str) -> list[str]:
    """Return the operators that the converter names itself."""
    found = _LISTED.search(output)
    return re.findall(r"'(\w+)'", found.group(1)) if found else []


def _located(program: bytes, exported: Exported, target: Convert, folder: Path) -> Op | None:
    """Find the operator that it does not name; each attempt is a crash or a conversion of some 0.1 s."""
    scratch = folder / "locate"
    scratch.mkdir(exist_ok=True)

    def attempt(candidate: bytes) -> None:
        _opt(candidate, exported, target, scratch, "prefix")

    try:
        return locate.first_failing(program, attempt, f"the conversion to {name_of(target)}")
    finally:
        shutil.rmtree(scratch)
