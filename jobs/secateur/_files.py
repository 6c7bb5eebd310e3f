"""Checkpoints: a network in one ``.safetensors`` file, at its own widths."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from secateur._arguments import Inputs, input_specs, plain_errors
from secateur_jobs import checkpoint
from secateur_jobs.paddle_env import paddle

__all__ = ["load", "save"]


@plain_errors
def save(
    net: paddle.nn.Layer,
    path: str | Path,
    inputs: Inputs,
    *,
    factory: str | None = None,
    args: dict[str, Any] | None = None,
) -> int:
    """Write ``net``, cut or not, to ``path``; return the size in bytes. Equal networks give equal bytes.

    ``factory`` (``module:callable``) and its ``args`` may say who built the uncut network. A reader is told,
    and :func:`load` calls it for no network but Secateur's and Paddle's own.

    >>> import secateur, tempfile
    >>> from paddle.vision.models import LeNet
    >>> inputs = [("image", (1, 1, 28, 28))]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     size = secateur.save(LeNet(), folder + "/lenet.safetensors", inputs)
    ...     again = secateur.load(folder + "/lenet.safetensors", model=LeNet)
    >>> type(again).__name__
    'LeNet'
    """
    content = checkpoint.plain_bytes(net, input_specs(inputs), factory, args)
    Path(path).write_bytes(content)
    return len(content)


@plain_errors
def load(
    path: str | Path, model: paddle.nn.Layer | Callable[[], paddle.nn.Layer] | None = None
) -> paddle.nn.Layer:
    """Return the network of a checkpoint file, in evaluation mode, with the outputs that it had.

    ``model`` is the uncut network, freshly built, or what builds it when it is called: a file does not choose
    the code that runs. It may be left out for networks that come with Secateur or Paddle, where the file
    names its factory, and for a graph (an exported model's, or a network's :func:`graph`), which the file
    describes: it comes back as the graph, cut. Files of a job's rounds are read as those of :func:`save`.
    Raises ValueError for a damaged or foreign file, or one of another network;
    FileNotFoundError.

    >>> import secateur
    >>> secateur.load("nowhere.safetensors")
    Traceback (most recent call last):
    FileNotFoundError: [Errno 2] No such file or directory: 'nowhere.safetensors'
    """
    return checkpoint.load(path, model)
