"""Find the operator at which a converter gives up, which it need not say, and explain it to a user."""

from __future__ import annotations

from collections.abc import Callable

from secateur_api.conditions import Reason
from secateur_api.spec import Convert, Format
from secateur_jobs.conversion import program as p
from secateur_jobs.conversion.export import Exported
from secateur_jobs.conversion.program import Op, Program, proto
from secateur_jobs.runtime.child import ChildDied
from secateur_jobs.runtime.errors import InvalidInput

_MAIN_OUTPUTS = ("Out", "Y", "Output")


def first_failing(content: bytes, convert: Callable[[bytes], object], who: str) -> Op | None:
    """Return the operator whose addition makes the program fail to convert, by bisection over its prefixes.

    ``convert`` raises ChildDied where the converter gives up on a program; ``who`` names it where the child
    did not give up but was ended (Retryable). None if only the whole program fails.
    """

    def converts(candidate: bytes) -> bool:
        try:
            convert(candidate)
        except ChildDied as died:
            died.raise_if_fault(who)
            return False
        return True

    program = p.parse(content)
    body = [op for op in program.blocks[0].ops if op.type not in ("feed", "fetch")]
    good, bad = 0, len(body)
    if converts(_prefix(program, bad)):
        return None
    while bad - good > 1:
        middle = (good + bad) // 2
        if converts(_prefix(program, middle)):
            good = middle
        else:
            bad = middle
    return body[bad - 1]


def layer_of(content: bytes, op: Op, layers: dict[str, str]) -> str | None:
    """Say where in the network an operator is: ``in layer conv1``, ``after layer conv1``, or None.

    ``layers`` maps the program's parameters to structured layer names.
    """
    before: str | None = None
    for other in p.parse(content).blocks[0].ops:
        own = [layers[name] for name in p.all_arguments(other.inputs) if name in layers]
        if p.all_arguments(other.outputs) == p.all_arguments(op.outputs):
            if own:
                return f"in layer {own[0]}"
            return f"after layer {before}" if before else None
        before = own[0] if own else before
    return None


def settings(content: bytes, op: Op) -> str:
    """Say in what an operator differs from the first of its kind that the converter got past.

    ``dilations [2, 2], padding_algorithm SAME``; empty if there is none of its kind before it.
    """
    for other in p.parse(content).blocks[0].ops:
        if p.all_arguments(other.outputs) == p.all_arguments(op.outputs):
            break
        if other.type == op.type:
            there, here = _attributes(other), _attributes(op)
            return ", ".join(f"{name} {here[name]}" for name in sorted(here) if here[name] != there.get(name))
    return ""


def _attributes(op: Op) -> dict[str, str]:
    """Return what an operator was told, without what Paddle notes for itself (``op_callstack``)."""
    found: dict[str, str] = {}
    for attr in op.attrs:
        if attr.name.startswith(("op_", "with_", "use_")):
            continue
        for field in ("i", "f", "s", "b", "l"):
            if attr.HasField(field):
                found[attr.name] = str(getattr(attr, field))
        for field in ("ints", "floats", "strings", "longs"):
            if len(getattr(attr, field)):
                found[attr.name] = str(list(getattr(attr, field)))
    return found


def find(content: bytes, kind: str) -> Op | None:
    """Return the first operator of a kind."""
    return next((op for op in p.parse(content).blocks[0].ops if op.type == kind), None)


def _prefix(program: Program, count: int) -> bytes:
    """Return the program cut after ``count`` operators, with every result that nothing reads as an output."""
    cut = p.parse(program.SerializeToString())
    block = cut.blocks[0]
    feeds = [op for op in block.ops if op.type == "feed"]
    body = [op for op in block.ops if op.type not in ("feed", "fetch")][:count]
    read = {name for op in body for name in p.all_arguments(op.inputs)}
    made = [name for op in body for slot in _MAIN_OUTPUTS for name in p.arguments(op.outputs, slot)]
    kept = [_copy(op) for op in [*feeds, *body]]
    fetches = [_fetch(name, col) for col, name in enumerate(n for n in made if n not in read)]
    del block.ops[:]
    block.ops.extend([*kept, *fetches])
    return bytes(cut.SerializeToString())


def _copy(op: Op) -> Op:
    return proto.OpDesc.FromString(op.SerializeToString())


def _fetch(name: str, col: int) -> Op:
    op = proto.OpDesc(type="fetch")
    op.inputs.add(parameter="X", arguments=[name])
    op.outputs.add(parameter="Out", arguments=["fetch"])
    op.attrs.add(name="col", type=proto.INT, i=col)
    return op


def name_of(target: Convert) -> str:
    """Write a target for a person: ``paddle-lite/x86`` or ``onnx``."""
    return f"{target.format.value}/{target.backend.value}" if target.backend else target.format.value


def unsupported(target: Convert, program: bytes, exported: Exported, kinds: list[str]) -> InvalidInput:
    """Return the error for operator types of the program that the converter itself says it lacks."""
    found = [(kind, find(program, kind)) for kind in kinds]
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
    chosen = settings(program, op)
    how = f" with {chosen}" if chosen else ""
    return _refused(target, f"cannot convert {place}{how}", "Replace it in the model")


def _refused(target: Convert, what: str, remedy: str) -> InvalidInput:
    tool = "Paddle Lite" if target.format is Format.PADDLE_LITE else "Paddle2ONNX"
    return InvalidInput(
        Reason.CONVERSION_UNSUPPORTED,
        f"spec.convert: {name_of(target)}: {tool} {what}. {remedy}, or drop {name_of(target)} "
        "from spec.convert",
    )


def _place(program: bytes, exported: Exported, kind: str, op: Op | None) -> str:
    where = layer_of(program, op, exported.layers) if op is not None else None
    return f"operator {kind!r}" + (f" ({where})" if where else "")
