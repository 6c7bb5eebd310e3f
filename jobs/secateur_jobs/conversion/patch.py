"""What Paddle 3.1.1 exports and Paddle Lite 2.13rc0 cannot read, or runs slowly, mended in Lite's copy.

Each function mends one operator; all were found by running and are checked by the parity of the converted
model. The Paddle file itself stays as it was exported.
"""

from __future__ import annotations

from collections.abc import Callable

from secateur_jobs.conversion import program as p
from secateur_jobs.conversion.program import Block, Op, proto


def _relu6(block: Block, op: Op) -> list[Op]:
    """Lite wants the threshold that Paddle no longer writes ("No attributes called threshold found")."""
    p.set_float(op, "threshold", 6.0)
    return []


def _swish(block: Block, op: Op) -> list[Op]:
    """``silu`` is ``swish`` with beta 1; Lite wants beta written ("No attributes called beta found")."""
    op.type = "swish"
    p.set_float(op, "beta", 1.0)
    return []


def _brelu(block: Block, op: Op) -> list[Op]:
    """``hardtanh`` is ``clip``; Lite has no ``brelu``."""
    low, high = p.present(op, "t_min").f, p.present(op, "t_max").f
    op.type = "clip"
    for name in ("t_min", "t_max"):
        op.attrs.remove(p.present(op, name))
    p.set_float(op, "min", low)
    p.set_float(op, "max", high)
    return []


def _fill_constant(block: Block, op: Op) -> list[Op]:
    """Lite knows no 0-D tensor and aborts when it runs one: a scalar becomes shape [1]."""
    dims = p.attribute(op, "shape")
    if dims is None or dims.ints or dims.longs or p.all_arguments(op.inputs):
        return []
    dims.longs.append(1)
    for name in p.all_arguments(op.outputs):
        tensor = p.variable(block, name).type.dense_tensor.tensor
        if not tensor.dims:
            tensor.dims.append(1)
    return []


def _flatten(block: Block, op: Op) -> list[Op]:
    """Without the output XShape the x86 converter ends by SIGSEGV."""
    source = p.arguments(op.inputs, "X")[0]
    p.add_output(block, op, "XShape", source, [0, *p.shape(block, source)])
    return []


def _instance_norm(block: Block, op: Op) -> list[Op]:
    """Lite wants the saved statistics as outputs ("AttachOutput ... is_have_output")."""
    source = p.arguments(op.inputs, "X")[0]
    batch, channels = p.shape(block, source)[:2]
    for name in ("SavedMean", "SavedVariance"):
        p.add_output(block, op, name, source, [batch * channels])
    return _affine(block, op, source, channels)


def _layer_norm(block: Block, op: Op) -> list[Op]:
    """Without weight and bias the converter ends by SIGSEGV: ones and zeros are the same thing."""
    source = p.arguments(op.inputs, "X")[0]
    width = 1
    for size in p.shape(block, source)[p.present(op, "begin_norm_axis").i :]:
        width *= size
    return _affine(block, op, source, width)


def _elementwise_add(block: Block, op: Op) -> list[Op]:
    """Lite fuses a convolution with a bias [C], but not with one that is made [1, C, 1, 1] in each run."""
    (term,), (source,) = p.arguments(op.inputs, "Y"), p.arguments(op.inputs, "X")
    makers = (maker for maker in block.ops if term in p.all_arguments(maker.outputs))
    maker = next(makers, None)
    if maker is None or maker.type != "reshape2":
        return []
    bias, axes = p.arguments(maker.inputs, "X")[0], len(p.shape(block, source))
    as_bias = [1, *p.shape(block, bias), *[1] * (axes - 2)]
    if p.variable(block, bias).persistable and p.shape(block, term) == as_bias and len(as_bias) == axes:
        p.set_input(op, "Y", bias)
        p.present(op, "axis").i = 1
    return []


def _matmul(block: Block, op: Op) -> list[Op]:
    """A Linear is ``mul``: that alone Lite fuses with its bias on x86, and restores from int8 weights
    (``DequantizeWeight`` leaves ``matmul_v2`` out)."""
    (x,), (y,) = p.arguments(op.inputs, "X"), p.arguments(op.inputs, "Y")
    turned = any(p.present(op, name).b for name in ("trans_x", "trans_y"))
    axes = len(p.shape(block, x))
    if turned or axes < 2 or not p.variable(block, y).persistable or len(p.shape(block, y)) != 2:
        return []
    op.type = "mul"
    del op.attrs[:]
    op.attrs.add(name="x_num_col_dims", type=proto.INT, i=axes - 1)
    op.attrs.add(name="y_num_col_dims", type=proto.INT, i=1)
    return []


def _lookup_table(block: Block, op: Op) -> list[Op]:
    """Of Lite's two embeddings only the older one, which takes ids [..., 1], may have int8 weights."""
    (ids,) = p.arguments(op.inputs, "Ids")
    dims = [*p.shape(block, ids), 1]
    column = proto.OpDesc(type="unsqueeze2")
    column.inputs.add(parameter="X", arguments=[ids])
    column.attrs.add(name="axes", type=proto.INTS, ints=[-1])
    p.set_input(op, "Ids", p.new_variable(block, op, "Ids", ids, dims))
    column.outputs.add(parameter="Out", arguments=p.arguments(op.inputs, "Ids"))
    p.add_output(block, column, "XShape", ids, [0, *dims])
    op.type = "lookup_table"
    return [column]


def _affine(block: Block, op: Op, like: str, width: int) -> list[Op]:
    """Give a normalisation the Scale and Bias that it lacks; return the ops that make them."""
    made = []
    for parameter, value in (("Scale", 1.0), ("Bias", 0.0)):
        name = p.add_input(block, op, parameter, like, [width])
        if name is not None:
            made.append(_constant(name, width, value))
    return made


def _constant(name: str, width: int, value: float) -> Op:
    op = proto.OpDesc(type="fill_constant")
    op.outputs.add(parameter="Out", arguments=[name])
    op.attrs.add(name="shape", type=proto.LONGS, longs=[width])
    op.attrs.add(name="value", type=proto.FLOAT, f=value)
    op.attrs.add(name="dtype", type=proto.INT, i=proto.VarType.FP32)
    op.attrs.add(name="force_cpu", type=proto.BOOLEAN, b=False)
    return op


PATCHES: dict[str, Callable[[Block, Op], list[Op]]] = {
    "relu6": _relu6,
    "swish": _swish,
    "silu": _swish,
    "brelu": _brelu,
    "fill_constant": _fill_constant,
    "flatten_contiguous_range": _flatten,
    "instance_norm": _instance_norm,
    "layer_norm": _layer_norm,
    "elementwise_add": _elementwise_add,
    "matmul_v2": _matmul,
    "lookup_table_v2": _lookup_table,
}


def patched(content: bytes) -> bytes:
    """Return a program that Paddle Lite reads, from the content of a ``.pdmodel``.

    The Python call stacks that Paddle writes into operators are left out: they name files of the machine
    and would make equal models differ.
    """
    program = p.parse(content)
    for block in program.blocks:
        ops = []
        for op in list(block.ops):
            stack = p.attribute(op, "op_callstack")
            if stack is not None:
                op.attrs.remove(stack)
            patch = PATCHES.get(op.type)
            ops += [*(patch(block, op) if patch else []), op]
        taken = {name for op in ops for name in p.all_arguments(op.inputs)}
        ops = [op for op in ops if op.type != "reshape2" or taken.intersection(p.all_arguments(op.outputs))]
        copies = [proto.OpDesc.FromString(op.SerializeToString()) for op in ops]
        del block.ops[:]
        block.ops.extend(copies)
    return bytes(program.SerializeToString())
