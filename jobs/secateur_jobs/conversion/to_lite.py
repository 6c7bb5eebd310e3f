"""Convert an exported network to Paddle Lite, in a child process that may crash."""

from __future__ import annotations

import re
import shutil
import struct
from dataclasses import dataclass
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
OPTIONS = {
    Backend.ARM: "--valid_targets=arm --optimize_out_type=naive_buffer; where that is smaller, without "
    "lite_conv_conv_fuse_pass"
}
OPTIONS[Backend.X86] = OPTIONS[Backend.ARM].replace("=arm", "=x86")

_LISTED = re.compile(r"unsupported ops are: (.*?)\.?$", re.MULTILINE)
_PROGRAM_SIZE_AT = 18
"""In a ``.nb``, behind two versions; the program follows, and then the weights."""
_DISK_FULL = re.compile(r"io\.cc:\d+ Write\]|No space left on device|File too large")


@dataclass(frozen=True)
class Readable:
    """A program as Paddle Lite's passes leave it, before it becomes a ``.nb``."""

    program: bytes
    params: bytes


def convert(exported: Exported, target: Convert, folder: Path) -> Path:
    """Write the ``.nb`` file of a Paddle Lite target into ``folder`` and return its path.

    That is what the converter makes, or the same without its fusion of convolutions, whichever is smaller:
    two convolutions around a narrow width, as a cut leaves them, become one with more weights than both.

    Raises InvalidInput (CONVERSION_UNSUPPORTED) naming the operator, Retryable for a killed converter or a
    full disk.
    """
    program = patched(exported.program.read_bytes())
    try:
        fused = _opt(program, exported.params, target, folder, "model")
    except ChildDied as died:
        _raise_if_fault(died, target, folder)
        kinds = _listed(died.output)
        if kinds:
            raise unsupported(target, program, exported, kinds) from None
        op = _located(program, exported, target, folder)
        raise unconvertible(target, program, exported, op, died.last_line) from None
    try:
        apart = _opt(program, exported.params, target, folder, "apart", fuse=False)
    except ChildDied as died:
        _raise_if_fault(died, target, folder)
        return fused
    return apart if apart.stat().st_size < fused.stat().st_size else fused


def readable(exported: Exported, target: Convert, folder: Path, *, fuse: bool) -> Readable:
    """Return what :func:`convert` writes, with or without the fusion; raises ChildDied, Retryable."""
    program = patched(exported.program.read_bytes())
    made = _opt(program, exported.params, target, folder, "readable", fuse=fuse, readable=True)
    return Readable(*((made / name).read_bytes() for name in ("model", "params")))


def written(model: Readable, target: Convert, folder: Path) -> Path:
    """Write the ``.nb`` file of a program into ``folder`` and return its path; raises ChildDied."""
    params = folder / "written.params"
    params.write_bytes(model.params)
    return _opt(model.program, params, target, folder, "written", fuse=False)


def is_same(one: bytes, other: bytes) -> bool:
    """Whether two ``.nb`` files have the same weights, and programs of the same size.

    In what order Paddle Lite puts operators that do not wait for each other depends on where they are in
    memory, and that on the length of paths.
    """
    (size,) = struct.unpack_from("<Q", one, _PROGRAM_SIZE_AT)
    behind = _PROGRAM_SIZE_AT + 8
    return one[:behind] == other[:behind] and one[behind + size :] == other[behind + size :]


def _raise_if_fault(died: ChildDied, target: Convert, folder: Path) -> None:
    died.raise_if_fault(f"the conversion to {name_of(target)}")
    if _DISK_FULL.search(died.output):
        raise Retryable(
            Reason.STORE_FULL, f"no space left to convert to {name_of(target)} in {folder}"
        ) from None


def _opt(
    program: bytes,
    params: Path,
    target: Convert,
    folder: Path,
    name: str,
    *,
    fuse: bool = True,
    readable: bool = False,
) -> Path:
    if target.backend is None:
        raise ValueError(f"{name_of(target)} is no Paddle Lite target")
    source = folder / f"{name}.{target.backend.value}.pdmodel"
    source.write_bytes(program)
    request = {
        "program": str(source),
        "params": str(params),
        "target": target.backend.value,
        "output": str(folder / f"{name}.{target.backend.value}"),
        "fuse": fuse,
        "readable": readable,
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
        _opt(candidate, exported.params, target, scratch, "prefix")

    try:
        return locate.first_failing(program, attempt, f"the conversion to {name_of(target)}")
    finally:
        shutil.rmtree(scratch)
