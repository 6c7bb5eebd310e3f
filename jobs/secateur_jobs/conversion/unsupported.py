"""Explain to a user why a model cannot be converted."""

from __future__ import annotations

from secateur_api.conditions import Reason
from secateur_api.spec import Convert, Format
from secateur_jobs.conversion import locate
from secateur_jobs.conversion.export import Exported
from secateur_jobs.runtime.errors import InvalidInput


def name_of(target: Convert) -> str:
    """Write a target for a person: ``paddle-lite/x86`` or ``onnx``."""
    return f"{target.format.value}/{target.backend.value}" if target.backend else target.format.value


def unsupported(
    target: Convert, program: bytes, exported: Exported, kinds: list[str], detail: str
) -> InvalidInput:
    """Return the error that names the operators, where they are in the network, and what to do.

    ``kinds`` are operator types of the program; empty if the converter failed without one (then ``detail``,
    its own last words, must do).
    """
    tool = "Paddle Lite" if target.format is Format.PADDLE_LITE else "Paddle2ONNX"
    if kinds:
        named = ", ".join(_place(program, exported, kind) for kind in kinds)
        what = f"{tool} has no {named}" if len(kinds) == 1 else f"{tool} has none of these: {named}"
    else:
        what = f"{tool} failed on the model as a whole: {detail or 'it gave no reason'}"
    return InvalidInput(
        Reason.CONVERSION_UNSUPPORTED,
        f"spec.convert: {name_of(target)}: {what}. Replace it in the model, or drop {name_of(target)} "
        "from spec.convert",
    )


def _place(program: bytes, exported: Exported, kind: str) -> str:
    op = locate.find(program, kind)
    where = locate.layer_of(program, op, exported.layers) if op is not None else None
    return f"operator {kind!r}" + (f" ({where})" if where else "")
