"""Make a PaddlePaddle network smaller, and measure the result.

>>> import secateur
>>> from paddle.vision.models import LeNet
>>> found = secateur.inspect(LeNet(), [("image", (1, 1, 28, 28))])
>>> [group.name for group in found.groups]
['features.0', 'features.3', 'fc.0', 'fc.1']

Import it before ``paddle``: the converters read Paddle's old program format, and Paddle chooses its format
when it is imported. Only the names in ``__all__`` are public. Wrong arguments raise a ValueError that names
the argument.
"""

from __future__ import annotations

import importlib
import importlib.metadata
from typing import TYPE_CHECKING, Any

from secateur_jobs import paddle_flags as _flags  # noqa: F401  (before Paddle, which is imported when needed)

if TYPE_CHECKING:
    from secateur._arguments import Data, Inputs, Judging
    from secateur._convert import Comparison, Exported, benchmark, export
    from secateur._files import load, save
    from secateur._fine_tune import Recovery, fine_tune
    from secateur._graph import graph
    from secateur._inspect import Group, Inspection, inspect
    from secateur._prune import Account, prune
    from secateur._sensitivity import Curves, sensitivity

__version__ = importlib.metadata.version("secateur")
__all__ = [
    "Account",
    "Comparison",
    "Curves",
    "Data",
    "Exported",
    "Group",
    "Inputs",
    "Inspection",
    "Judging",
    "Recovery",
    "__version__",
    "benchmark",
    "export",
    "fine_tune",
    "graph",
    "inspect",
    "load",
    "prune",
    "save",
    "sensitivity",
]

_MODULES = ("_arguments", "_graph", "_inspect", "_sensitivity", "_prune", "_fine_tune", "_convert", "_files")


def __getattr__(name: str) -> Any:
    """Import a public name at its first use: Paddle takes seconds to import, and is an extra."""
    if name not in __all__:
        raise AttributeError(f"module 'secateur' has no attribute {name!r}")
    try:
        for module in _MODULES:
            found = vars(importlib.import_module(f"secateur.{module}"))
            if name in found and name in found["__all__"]:
                return found[name]
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("secateur"):
            raise
        raise ModuleNotFoundError(
            f"secateur.{name} needs {error.name}, which is not installed; run: pip install 'secateur[jobs]'",
            name=error.name,
        ) from None
    raise AttributeError(name)


def __dir__() -> list[str]:
    return __all__
