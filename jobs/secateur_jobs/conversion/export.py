"""Export a network to Paddle's own files, the ones that every converter starts from."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from secateur_api.conditions import Reason
from secateur_api.spec import InputSpec
from secateur_jobs.conversion import program
from secateur_jobs.paddle_env import paddle
from secateur_jobs.runtime.errors import InvalidInput
from secateur_jobs.training.forward import eval_mode

_NEW_FORMAT = "FLAGS_enable_pir_api"


@dataclass(frozen=True)
class Exported:
    """An exported network."""

    program: Path
    """``.pdmodel`` in the old IR."""
    params: Path
    """``.pdiparams``."""
    outputs: int
    """How many results ``forward`` has."""
    layers: dict[str, str]
    """Parameter in the program to the structured name of its layer."""


class _Positional(paddle.nn.Layer):
    """Lets the declared names be the program's, whatever the arguments of ``forward`` are called."""

    def __init__(self, net: Any) -> None:
        super().__init__()
        self.net = net

    def forward(self, inputs: list[Any]) -> Any:  # Paddle cannot trace *inputs
        return self.net(*inputs)


def export(
    net: paddle.nn.Layer, inputs: Sequence[InputSpec], folder: Path, *, any_batch: bool = False
) -> Exported:
    """Write ``model.pdmodel`` and ``model.pdiparams`` in eval mode at the declared shapes and names.

    With ``any_batch`` the program leaves the batch open.
    Raises InvalidInput (CONVERSION_UNSUPPORTED) if Paddle cannot trace the network; OSError for a full disk.
    """
    if paddle.get_flags(_NEW_FORMAT)[_NEW_FORMAT]:
        raise InvalidInput(
            Reason.CONVERSION_UNSUPPORTED,
            "spec.model: Paddle was imported with its new program format, which no converter reads; "
            f"import secateur before paddle, or set {_NEW_FORMAT}=0",
        )
    shapes = [[-1, *i.shape[1:]] if any_batch else list(i.shape) for i in inputs]
    specs = [
        paddle.static.InputSpec(shape, i.dtype.value, i.name) for shape, i in zip(shapes, inputs, strict=True)
    ]
    layers = {
        tensor.name: name.rsplit(".", 1)[0]
        for name, tensor in (*net.named_parameters(), *net.named_buffers())
    }
    base = folder / "model"
    # the guard gives equal nets equal names inside the file, whatever this process has built before
    with eval_mode(net), paddle.utils.unique_name.guard():
        _forget_failed_traces()
        try:
            wrapped = _Positional(net)
            wrapped.eval()
            paddle.jit.save(wrapped, str(base), input_spec=[specs])
        except OSError:
            raise
        except Exception as error:
            raise _explained(error) from error
    exported = program.parse(base.with_suffix(".pdmodel").read_bytes())
    params = base.with_suffix(".pdiparams")
    if params.stat().st_size < program.stored_bytes(exported):
        # Paddle writes as much as fits and says nothing
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(params))
    return Exported(
        program=base.with_suffix(".pdmodel"),
        params=params,
        outputs=len(program.fetched(exported)),
        layers=layers,
    )


def _forget_failed_traces() -> None:
    """Drop what Paddle 3.1 keeps of a network whose trace raised.

    It finds a program's parameters by the program's ``id``, and the next program may have that ``id``.
    """
    translator = paddle.jit.dy2static.program_translator.ProgramTranslator.get_instance()
    for kept in (translator._params_recorder, translator._inplace_map):
        kept.params_dict.clear()


def _explained(error: Exception) -> InvalidInput:
    unread = re.search(r"feeded_var_names\[\d+\]: '(\w+)' doesn't exist", str(error))
    if unread:
        message = f"spec.model.inputs: the model's outputs do not depend on {unread.group(1)!r}; leave it out"
    else:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        last = f": {lines[-1]}" if lines else ""  # Paddle puts call stacks before the message
        message = (
            f"spec.model: Paddle cannot export the model: {type(error).__name__}{last[:300]}; "
            "its forward must be one that paddle.jit.save can trace"
        )
    return InvalidInput(Reason.CONVERSION_UNSUPPORTED, message)
