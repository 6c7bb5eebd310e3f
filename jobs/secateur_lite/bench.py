"""Run a model, time two against each other, or tell the memory of one.

Timed runs are interleaved and each pair's order is swapped, so that a slow moment of the machine, a frequency
change or a warm cache meets both models alike.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from typing import Any

from secateur_lite.runtimes import Arrays, Runtime, load
from secateur_lite.wire import Wire


def run(wire: Wire, request: dict[str, Any]) -> None:
    """``run {"model"}``: answers each message of inputs with the outputs, named ``0``, ``1``, ..."""
    model = load(request["model"])
    while (inputs := wire.receive_arrays()) is not None:
        wire.send_arrays({str(index): output for index, output in enumerate(model(inputs))})


_REPORT_SECONDS = 0.5


def interleave(
    first: Runtime, second: Runtime, inputs: Arrays, warmup: int, runs: int, report: Callable[[int], None]
) -> tuple[list[int], list[int]]:
    """Return ``runs`` latencies in nanoseconds of each model, in the order run.

    A latency is from input arrays in memory to output arrays in memory.
    """
    for _ in range(warmup):
        first(inputs)
        second(inputs)
    firsts: list[int] = []
    seconds: list[int] = []
    pairs = [(first, firsts), (second, seconds)]
    reported = time.monotonic()
    gc.disable()
    try:
        for done in range(runs):
            for model, samples in pairs if done % 2 == 0 else reversed(pairs):
                begin = time.perf_counter_ns()
                model(inputs)
                samples.append(time.perf_counter_ns() - begin)
            if time.monotonic() - reported > _REPORT_SECONDS:
                reported = time.monotonic()
                report(done + 1)
    finally:
        gc.enable()
    return firsts, seconds


def bench(wire: Wire, request: dict[str, Any]) -> None:
    """``bench {"models": [a, b], "warmup", "runs"}`` and one message of inputs.

    Answers ``{"done"}`` now and then, and at last ``{"samples": [[ns of a], [ns of b]]}``.
    """
    inputs = wire.receive_arrays()
    if inputs is None:
        raise ValueError("no inputs were sent")
    a, b = (load(path) for path in request["models"])
    samples = interleave(a, b, inputs, request["warmup"], request["runs"], lambda n: wire.say({"done": n}))
    wire.say({"samples": samples})


_RUNS = 3


def peak_bytes() -> int:
    """Return this process's peak resident set in bytes (Linux).

    ``ru_maxrss`` will not do: a child inherits the peak of the parent that it was forked from.
    """
    with open("/proc/self/status", encoding="ascii") as status:
        line = next(line for line in status if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def memory(wire: Wire, request: dict[str, Any]) -> None:
    """``memory {"model"}`` and one message of inputs: answers ``{"peakBytes"}``."""
    inputs = wire.receive_arrays()
    if inputs is None:
        raise ValueError("no inputs were sent")
    model = load(request["model"])
    for _ in range(_RUNS):
        model(inputs)
    wire.say({"peakBytes": peak_bytes()})
