"""Save a network to one ``.safetensors`` file, cut or not, and load it."""

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

    ``factory`` (``module:callable``) and its ``args`` record what built the uncut network. :func:`load` calls
    the factory only if it comes with Secateur or Paddle.

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
    """Return the network of a checkpoint file, in evaluation mode. It gives the outputs of the saved network.

    ``model`` is the uncut network, newly built, or a callable that builds it: a file does not choose the code
    that runs. You can leave it out in two cases: the file names a factory that comes with Secateur or Paddle,
    or it holds a graph (of an exported model, or from :func:`graph`), which is returned as the cut graph. The
    checkpoint of a job's round is such a file too. Raises ValueError for a file that is damaged, foreign or
    of another network, and FileNotFoundError.

    >>> import secateur
    >>> secateur.load("nowhere.safetensors")
    Traceback (most recent call last):
    FileNotFoundError: [Errno 2] No such file or directory: 'nowhere.safetensors'
    """
    return checkpoint.load(path, model)
