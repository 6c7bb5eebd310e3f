"""The data plane of Secateur: stages that prune, convert and measure; ``load`` reads what they leave."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from secateur_jobs.checkpoint import Built
    from secateur_jobs.paddle_env import paddle


def load(path: str | Path, model: Built | None = None) -> paddle.nn.Layer:
    """Rebuild the network of a checkpoint file in ``model``; see :func:`secateur_jobs.checkpoint.load`."""
    from secateur_jobs import checkpoint  # Paddle is imported by those who need it only

    return checkpoint.load(path, model)


__all__ = ["load"]
