"""Export a network to Paddle's own files, the ones that every converter starts from."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from secateur_api.conditions import Reason
from secateur_api.spec import InputSpec
from secateur_jobs.conversion import program
from secateur_jobs.paddle_env import paddle
from secateur_jobs.runtime.errors import InvalidInput


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


def export(net: paddle.nn.Layer, inputs: Sequence[InputSpec], folder: Path) -> Exported:
    """Write ``model.pdmodel`` and ``model.pdiparams`` in eval mode at the declared shapes and names.

    Raises InvalidInput (CONVERSION_UNSUPPORTED) if Paddle cannot trace the network.
    """
    specs = [paddle.static.InputSpec(list(i.shape), i.dtype.value, i.name) for i in inputs]
    layers = {
        tensor.name: name.rsplit(".", 1)[0]
        for name, tensor in (*net.named_parameters(), *net.named_buffers())
    }
    base = folder / "model"
    # the guard gives equal nets equal names inside the file, whatever this process has built before
    with eval_mode(net), paddle.utils.unique_name.guard():
        try:
            wrapped = _Positional(net)
            wrapped.eval()
            paddle.jit.save(wrapped, str(base), input_spec=[specs])
        except OSError:
            raise
        except Exception as error:
            raise InvalidInput(
                Reason.CONVERSION_UNSUPPORTED,
                f"spec.model.factory: Paddle cannot export the model: {_gist(error)}; "
                "its forward must be one that paddle.jit.save can trace",
            ) from error
    exported = program.parse(base.with_suffix(".pdmodel").read_bytes())
    unused = sorted({i.name for i in inputs} - set(program.fed(exported)))
    if unused:
        raise InvalidInput(
            Reason.CONVERSION_UNSUPPORTED,
            f"spec.model.inputs: the model's outputs do not depend on {', '.join(unused)}; leave it out",
        )
    return Exported(
        program=base.with_suffix(".pdmodel"),
        params=base.with_suffix(".pdiparams"),
        outputs=len(program.fetched(exported)),
        layers=layers,
    )


@contextlib.contextmanager
def eval_mode(net: paddle.nn.Layer) -> Iterator[None]:
    """Put every layer in eval mode, and back as it was."""
    before = [(layer, layer.training) for layer in net.sublayers(include_self=True)]
    net.eval()
    try:
        yield
    finally:
        for layer, training in before:
            layer.training = training


def _gist(error: Exception) -> str:
    """Return the last line of a message that Paddle wraps in call stacks."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[-1]}" if lines else type(error).__name__
