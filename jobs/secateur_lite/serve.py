"""Run batches through one model for as long as the other side sends them."""

from __future__ import annotations

from typing import Any

from secateur_lite.runtimes import load
from secateur_lite.wire import Wire


def command(wire: Wire, request: dict[str, Any]) -> None:
    """``run {"model"}``: answers each message of inputs with the outputs, named ``0``, ``1``, ..."""
    model = load(request["model"])
    while (inputs := wire.receive_arrays()) is not None:
        wire.send_arrays({str(index): output for index, output in enumerate(model(inputs))})
