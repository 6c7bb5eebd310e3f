"""Find the interpreter that has Paddle Lite, and start its commands as child processes."""

from __future__ import annotations

import functools
import importlib.util
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from secateur_api.conditions import Reason
from secateur_api.spec import Convert, Format
from secateur_api.stage import LITE_PYTHON_VARIABLE
from secateur_jobs.runtime.child import Child, ChildDied
from secateur_jobs.runtime.errors import InvalidInput

_REMEDY = (
    "ONNX conversion still works: remove paddle-lite from spec.convert and spec.benchmark, or make an "
    f"environment of Python 3.10 with paddlelite==2.13rc0 and name its interpreter in {LITE_PYTHON_VARIABLE}"
)
_VERSIONS_LIMIT = 60.0


def lite_python() -> Path:
    """Return the interpreter that has Paddle Lite; raises InvalidInput (TOOLCHAIN_MISSING) if there is none.

    It is named by ``SECATEUR_LITE_PYTHON``, else it is ``.venv-lite`` beside this environment.
    """
    named = os.environ.get(LITE_PYTHON_VARIABLE)
    path = Path(named) if named else Path(sys.prefix).parent / ".venv-lite" / "bin" / "python"
    if not os.access(path, os.X_OK):
        where = f"{LITE_PYTHON_VARIABLE}={named} is no program" if named else "no .venv-lite here"
        raise InvalidInput(
            Reason.TOOLCHAIN_MISSING, f"spec.convert: Paddle Lite is missing ({where}). {_REMEDY}"
        )
    return path


def require(targets: Sequence[Convert]) -> None:
    """Refuse a job that asks for paddle-lite where its toolchain is missing or broken (TOOLCHAIN_MISSING)."""
    if any(target.format is Format.PADDLE_LITE for target in targets):
        versions(lite_python())


@functools.lru_cache(maxsize=4)
def versions(python: Path) -> dict[str, str]:
    """Return the versions of an interpreter's Paddle Lite; raises InvalidInput if it has none that loads."""
    with tempfile.TemporaryDirectory(prefix="secateur-lite-") as scratch:
        try:
            with start(python, "versions", {}, Path(scratch), _VERSIONS_LIMIT) as child:
                found = child.receive_json()
        except ChildDied as died:
            died.raise_if_fault("the look at Paddle Lite's version")
            raise InvalidInput(
                Reason.TOOLCHAIN_MISSING,
                f"spec.convert: {python} cannot load Paddle Lite ({died.last_line or died.how}). {_REMEDY}",
            ) from None
    return {str(name): str(version) for name, version in found.items()}


def start(python: Path, command: str, request: dict[str, Any], scratch: Path, limit: float) -> Child:
    """Start ``secateur_lite COMMAND``; ``limit`` is the longest time in seconds for one answer."""
    argv: list[str | Path] = [python, "-m", "secateur_lite", command, json.dumps(request)]
    return Child(argv, environment(scratch), limit)


def environment(scratch: Path) -> dict[str, str]:
    """Return a child's environment: one thread, temporary files in ``scratch``, our converter importable.

    The package is reached through a folder that holds nothing else: the folder that it is installed in
    may hold this interpreter's NumPy, which the other one cannot load.
    """
    spec = importlib.util.find_spec("secateur_lite")
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError("the package secateur_lite is not installed")
    home = scratch / "lite-home"
    home.mkdir(exist_ok=True)
    link = home / "secateur_lite"
    if not link.is_symlink():
        link.symlink_to(spec.submodule_search_locations[0], target_is_directory=True)
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    ours = {
        "PYTHONPATH": str(home),
        "PYTHONDONTWRITEBYTECODE": "1",
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        # MKL takes a slow path on AMD (Paddle Lite is then half as fast); see paddle_env
        "MKL_DEBUG_CPU_TYPE": os.environ.get("MKL_DEBUG_CPU_TYPE", "5"),
        "ORT_DISABLE_TELEMETRY": "1",  # else onnxruntime sends names and hashes of models to its maker
        "TMPDIR": str(scratch),
    }
    return {**inherited, **ours}
