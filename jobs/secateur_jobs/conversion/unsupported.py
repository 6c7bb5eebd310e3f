"""Explain to a user why a model cannot be converted."""

from __future__ import annotations

from secateur_api.conditions import Reason
from secateur_api.spec import Convert, Format
from secateur_jobs.conversion import locate
from secateur_jobs.conversion.export import Exported
from secateur_jobs.conversion.program import Op
from secateur_jobs.runtime.errors import InvalidInput


def name_of(target: Convert) -> str:
    """Write a target for a person: ``paddle-lite/x86`` or ``onnx``."""
    return f"{target.format.value}/{target.backend.value}" if target.backend else target.format.value


def unsupported(target: Convert, program: bytes, exported: Exported, kinds: list[str]) -> InvalidInput:
    """Return the error for operator types of the program that the converter itself says it lacks."""
    found = [(kind, locate.find(program, kind)) for kind in kinds]
    named = ", ".join(_place(program, exported, kind, op) for kind, op in found)
    return _refused(
        target,
        f"has no {named}" if len(kinds) == 1 else f"has none of these: {named}",
        "Replace it in the model",
    )


def unconvertible(
    target: Convert, program: bytes, exported: Exported, op: Op | None, detail: str
) -> InvalidInput:
    """Return the error for the operator at which the converter gave up without naming it.

    ``op`` is None if it failed without one (then ``detail``, its own last words, must do).
    """
    if op is None:
        return _refused(
            target, f"failed on the model as a whole: {detail or 'it gave no reason'}", "Change the model"
        )
    place = _place(program, exported, op.type, op)
    settings = locate.settings(program, op)
    how = f" with {settings}" if settings else ""
    return _refused(target, f"cannot convert {place}{how}", "Replace it in the model")


def _refused(target: Convert, what: str, remedy: str) -> InvalidInput:
    tool = "Paddle Lite" if target.format is Format.PADDLE_LITE else "Paddle2ONNX"
    return InvalidInput(
        Reason.CONVERSION_UNSUPPORTED,
        f"spec.convert: {name_of(target)}: {tool} {what}. {remedy}, or drop {name_of(target)} "
        "from spec.convert",
    )


def _place(program: bytes, exported: Exported, kind: str, op: Op | None) -> str:
    where = locate.layer_of(program, op, exported.layers) if op is not None else None
    return f"operator {kind!r}" + (f" ({where})" if where else "")
