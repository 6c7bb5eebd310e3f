"""The largest resident set of a process that does nothing but load and run one model."""

from __future__ import annotations

from typing import Any

from secateur_lite.runtimes import load
from secateur_lite.wire import Wire

_RUNS = 3


def peak_bytes() -> int:
    """Return this process's peak resident set in bytes (Linux).

    ``ru_maxrss`` will not do: a child inherits the peak of the parent that it was forked from.
    """
    with open("/proc/self/status", encoding="ascii") as status:
        line = next(line for line in status if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def command(wire: Wire, request: dict[str, Any]) -> None:
    """``memory {"model"}`` and one message of inputs: answers ``{"peakBytes"}``."""
    inputs = wire.receive_arrays()
    if inputs is None:
        raise ValueError("no inputs were sent")
    model = load(request["model"])
    for _ in range(_RUNS):
        model(inputs)
    wire.say({"peakBytes": peak_bytes()})
