"""The data plane of Secateur: stages that prune, convert and measure; ``load`` reads what they leave."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from secateur_jobs.paddle_env import paddle


def load(path: str | Path) -> paddle.nn.Layer:
    """Rebuild the (pruned) network of a checkpoint file; see :func:`secateur_jobs.checkpoint.from_bytes`."""
    from secateur_jobs import checkpoint  # Paddle is imported by those who need it only

    return checkpoint.load(path)


__all__ = ["load"]
