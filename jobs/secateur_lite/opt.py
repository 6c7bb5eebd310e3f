"""Convert a Paddle program to Paddle Lite's naive buffer, as ``paddle_lite_opt`` does."""

from __future__ import annotations

import errno
import os
from typing import Any

from secateur_lite.wire import Wire

_VERSION_AT = 2
_VERSION_BYTES = 16
"""A ``.nb`` file begins with the format's version (two bytes) and paddlelite's own (sixteen)."""


def optimize(program: str, params: str, target: str, output: str) -> None:
    """Write ``<output>.nb`` for a target (``arm`` or ``x86``).

    A program that Paddle Lite cannot take ends this process by SIGABRT or SIGSEGV. Raises OSError (ENOSPC)
    if the disk is full.
    """
    from paddlelite.lite import Opt

    tool = Opt()
    tool.set_model_file(program)
    tool.set_param_file(params)
    tool.set_model_type("naive_buffer")
    tool.set_valid_places(target)
    tool.set_optimize_out(output)
    tool.run()
    where = os.statvfs(os.path.dirname(output) or ".")
    if where.f_bavail == 0:  # the last bytes are then lost without a word from paddlelite
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), output)
    _clear_padding(output + ".nb")


def _clear_padding(path: str) -> None:
    """Make equal models equal files: behind the version's end, paddlelite leaves what was on its stack."""
    with open(path, "r+b") as file:
        file.seek(_VERSION_AT)
        field = file.read(_VERSION_BYTES)
        version = field.split(b"\0", 1)[0]
        file.seek(_VERSION_AT)
        file.write(version.ljust(_VERSION_BYTES, b"\0"))


def command(wire: Wire, request: dict[str, Any]) -> None:
    """``opt {"program", "params", "target", "output"}``: answers ``{"path"}``."""
    optimize(request["program"], request["params"], request["target"], request["output"])
    wire.say({"path": request["output"] + ".nb"})
