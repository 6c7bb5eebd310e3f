"""Mixed precision on a GPU; on the CPU training stays in float32, which is said and not silently done."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

from secateur_jobs.paddle_env import paddle

_FIRST_SCALE = 2.0**15
ON_CPU = "fineTune.amp has no effect: this stage ran on the CPU, in float32"


def on_gpu() -> bool:
    """Whether this process computes on a GPU."""
    return bool(paddle.device.is_compiled_with_cuda()) and paddle.device.get_device().startswith("gpu")


class Precision:
    """How a step computes: in float32, or with float16 where that is safe and a scaled loss.

    Micikevicius et al., "Mixed Precision Training", 2018; ``paddle.amp.auto_cast`` (O1) and ``GradScaler``.
    """

    def __init__(self, mixed: bool) -> None:
        self._scaler = paddle.amp.GradScaler(init_loss_scaling=_FIRST_SCALE) if mixed and on_gpu() else None

    def cast(self) -> AbstractContextManager[None]:
        """Return the context that the forward pass and the loss are computed in."""
        return nullcontext() if self._scaler is None else paddle.amp.auto_cast(level="O1")

    def backward(self, loss: paddle.Tensor) -> None:
        """Compute the gradients of the loss (mixed: of the scaled loss)."""
        (loss if self._scaler is None else self._scaler.scale(loss)).backward()

    def step(self, optimizer: paddle.optimizer.Optimizer) -> None:
        """Update the weights; mixed: not where a gradient overflowed, and the scale is lowered then."""
        if self._scaler is None:
            optimizer.step()
        else:
            self._scaler.step(optimizer)
            self._scaler.update()
