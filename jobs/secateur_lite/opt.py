"""Convert a Paddle program to Paddle Lite's naive buffer, as ``paddle_lite_opt`` does."""

from __future__ import annotations

import errno
import os
from typing import Any

from secateur_lite.wire import Wire

_VERSION_AT = 2
_VERSION_BYTES = 16
"""A ``.nb`` file begins with the format's version (two bytes) and paddlelite's own (sixteen)."""


_FUSION = "lite_conv_conv_fuse_pass"
"""Makes one layer of two convolutions; where the first is narrow, that layer has more weights than both."""


def optimize(
    program: str, params: str, target: str, output: str, *, fuse: bool = True, readable: bool = False
) -> None:
    """Write ``<output>.nb`` for a target (``arm`` or ``x86``); ``fuse``: with :data:`_FUSION`.

    ``readable``: write ``<output>/model`` and ``<output>/params`` instead, the same as a protobuf, of which
    this makes the same ``.nb``.
    A program that Paddle Lite cannot take ends this process by SIGABRT or SIGSEGV. Raises OSError (ENOSPC)
    if the disk is full.
    """
    (_as_the_tool if fuse else _without_fusion)(program, params, target, output, readable)
    where = os.statvfs(os.path.dirname(output) or ".")
    if where.f_bavail == 0:  # the last bytes are then lost without a word from paddlelite
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), output)
    if not readable:
        _clear_padding(output + ".nb")


def _as_the_tool(program: str, params: str, target: str, output: str, readable: bool) -> None:
    from paddlelite.lite import Opt

    tool = Opt()
    tool.set_model_file(program)
    tool.set_param_file(params)
    tool.set_model_type("protobuf" if readable else "naive_buffer")
    tool.set_valid_places(target)
    tool.set_optimize_out(output)
    tool.run()


def _without_fusion(program: str, params: str, target: str, output: str, readable: bool) -> None:
    from paddlelite.lite import CxxConfig, Place, PrecisionType, TargetType, create_paddle_predictor

    config = CxxConfig()
    config.set_model_file(program)
    config.set_param_file(params)
    config.set_valid_places([Place(getattr(TargetType, target.upper()), PrecisionType.FP32)])
    config.add_discarded_pass(_FUSION)
    made = create_paddle_predictor(config)
    (made.save_optimized_pb_model if readable else made.save_optimized_model)(output)


def _clear_padding(path: str) -> None:
    """Make equal models equal files: behind the version's end, paddlelite leaves what was on its stack."""
    with open(path, "r+b") as file:
        file.seek(_VERSION_AT)
        field = file.read(_VERSION_BYTES)
        version = field.split(b"\0", 1)[0]
        file.seek(_VERSION_AT)
        file.write(version.ljust(_VERSION_BYTES, b"\0"))


def command(wire: Wire, request: dict[str, Any]) -> None:
    """``opt {"program", "params", "target", "output", "fuse", "readable"}``: answers ``{"path"}``."""
    optimize(**request)
    wire.say({"path": request["output"] + ("" if request["readable"] else ".nb")})
