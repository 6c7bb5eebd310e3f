"""``python -m secateur_jobs.conversion.onnx_child PROGRAM PARAMS OUTPUT``: Paddle2ONNX, which may abort."""

from __future__ import annotations

import os
import sys

from secateur_jobs.paddle_env import paddle  # noqa: F401  (sets flags that Paddle2ONNX's Paddle must have)

OPSET = 17


def main() -> int:
    """Convert; 0 if the file was written."""
    import paddle2onnx

    program, params, output = sys.argv[1:]
    # optimize_tool: the default one runs pip while it converts, and upgrades NumPy
    paddle2onnx.export(
        program, params, save_file=output, opset_version=OPSET, optimize_tool="None", verbose=False
    )
    return 0 if os.path.exists(output) else 1


if __name__ == "__main__":
    sys.exit(main())
