"""What the model is converted to, and where it is measured."""

from __future__ import annotations

from enum import Enum
from typing import Annotated, ClassVar

from pydantic import Field, StringConstraints

from secateur_api.base import Contract, Rule
from secateur_api.spec.types import Percent


class Format(str, Enum):
    """File format of a converted model."""

    PADDLE_LITE = "paddle-lite"
    ONNX = "onnx"


class Backend(str, Enum):
    """Target of a Paddle Lite model."""

    ARM = "arm"
    X86 = "x86"


def target_name(format: Format | None, backend: Backend | None) -> str:
    """Name a conversion: ``paddle-lite/arm``, ``onnx``; empty for what is measured without one."""
    return "/".join(part.value for part in (format, backend) if part is not None)


class Convert(Contract):
    """One format to convert the model to."""

    format: Format
    """``paddle-lite`` or ``onnx``."""
    backend: Backend | None = None
    """Paddle Lite's target: ``arm`` (converted) or ``x86`` (converted and run)."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "(self.format == 'paddle-lite') == has(self.backend)",
            "format paddle-lite needs backend: arm or x86; format onnx has none",
            lambda s: (s.format == Format.PADDLE_LITE) == (s.backend is not None),
        ),
    )


class WeightBits(str, Enum):
    """How the weights of a converted model are stored."""

    AUTO = "auto"
    INT8 = "int8"
    INT16 = "int16"


class Activations(str, Enum):
    """What layers compute in."""

    NONE = "none"
    INT8 = "int8"


class Quantize(Contract):
    """How the pruned model's weights are stored: its size, and only with ``activations`` its speed."""

    weights: WeightBits = WeightBits.AUTO
    """``int8`` or ``int16`` for each layer that the format can hold so, or the job fails; ``auto``: 8 bits,
    and 16 for the layers that cost most, until ``maxDrop`` holds; 32 for all if 16 for all do not hold."""
    activations: Activations = Activations.NONE
    """``int8``: layers of the ONNX model compute in 8 bits, if that is faster; ``none``: in floats."""
    max_drop: Percent = "0.3%"
    """Largest relative drop of the metric against the same model with 32-bit weights, on the runtime."""


class Benchmark(Contract):
    """One measurement of the baseline and the pruned model, interleaved."""

    device: Annotated[str, StringConstraints(pattern=r"^local-x86$")] = "local-x86"
    """Where to measure: ``local-x86`` is the machine that the stage runs on, one thread."""
    format: Format = Format.PADDLE_LITE
    """Which converted model runs: paddle-lite (backend x86) or onnx (onnxruntime)."""
    warmup: Annotated[int, Field(ge=1, le=10000)] = 20
    """Runs of each model before the clock counts."""
    runs: Annotated[int, Field(ge=200, le=100000)] = 200
    """Timed runs of each model."""
