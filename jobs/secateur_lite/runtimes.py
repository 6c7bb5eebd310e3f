"""Run a converted model: one small interface over Paddle Lite (``.nb``) and onnxruntime (``.onnx``).

And which converter and runtime this interpreter has.
"""

from __future__ import annotations

import importlib.metadata
import platform
from typing import Any, Protocol

import numpy as np

from secateur_lite.wire import Wire

Arrays = dict[str, np.ndarray]


class Runtime(Protocol):
    """A loaded model, single-threaded."""

    def __call__(self, inputs: Arrays) -> list[np.ndarray]:
        """Run one batch: inputs by name, outputs in the order of the exported ``forward``."""


class LiteRuntime:
    """A ``.nb`` file in Paddle Lite's light predictor; its x86 kernels take their threads from OpenMP."""

    def __init__(self, path: str) -> None:
        from paddlelite.lite import MobileConfig, create_paddle_predictor

        config = MobileConfig()
        config.set_model_from_file(path)
        self._predictor = create_paddle_predictor(config)
        self._inputs = {n: self._predictor.get_input_by_name(n) for n in self._predictor.get_input_names()}
        self._outputs = len(self._predictor.get_output_names())

    def __call__(self, inputs: Arrays) -> list[np.ndarray]:
        for name, tensor in self._inputs.items():
            tensor.from_numpy(inputs[name])
        self._predictor.run()
        # numpy() is a view of memory that the next run overwrites
        return [self._predictor.get_output(i).numpy().copy() for i in range(self._outputs)]


class OnnxRuntime:
    """A ``.onnx`` file in onnxruntime on the CPU."""

    def __init__(self, path: str) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self._inputs = [value.name for value in self._session.get_inputs()]

    def __call__(self, inputs: Arrays) -> list[np.ndarray]:
        return list(self._session.run(None, {name: inputs[name] for name in self._inputs}))


def load(path: str) -> Runtime:
    """Load a model by its suffix; raises ValueError for another one."""
    if path.endswith(".nb"):
        return LiteRuntime(path)
    if path.endswith(".onnx"):
        return OnnxRuntime(path)
    raise ValueError(f"{path} is neither .nb nor .onnx")


def versions(wire: Wire, request: dict[str, Any]) -> None:
    """``versions``: answers ``{"python", "numpy", "paddlelite"}``; fails if paddlelite cannot be imported."""
    import paddlelite.lite  # noqa: F401  (a wheel that is there but cannot be loaded must not pass)

    found = {name: importlib.metadata.version(name) for name in ("numpy", "paddlelite")}
    wire.say({"python": platform.python_version(), **found})
