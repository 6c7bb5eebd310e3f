"""Small PruningJobs on real Paddle, and user code that goes wrong on demand."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import yaml

from tests.integration.real import with_changes

ROOT = Path(__file__).parents[2]
USER_CODE = ROOT / "tests" / "e2e" / "user_code"
CODE_PATH = "code/trouble.zip"
"""Where the store has the user code."""

TINY: dict[str, Any] = {
    "model": {
        "factory": "secateur_jobs.zoo.digits:residual_net",
        "args": {"width": 8},
        "pretrain": {"epochs": 2, "learningRate": 0.005},
        "inputs": [{"name": "image", "shape": [1, 1, 16, 16]}],
    },
    "data": {
        "factory": "secateur_jobs.data.digits:splits",
        "args": {"size": 16, "train_copies": 1, "eval_copies": 1},
    },
    "sensitivity": {"ratios": [0.5]},
    "pruning": {
        "target": {"macs": "30%"},
        "align": 4,
        "schedule": {"rounds": 1, "step": 0.3, "floor": "30%"},
    },
    "fineTune": {"dataFraction": 0.5, "epochs": 1, "learningRate": 0.003},
    "convert": [{"format": "onnx"}],
    "benchmark": [],
    "resources": [{"cpu": "100m", "memory": "1500Mi"}],
}
"""Real digits, a small residual net, one round: six stages of a few seconds each."""
LITE = {
    "convert": [{"format": "paddle-lite", "backend": "x86"}, {"format": "onnx"}],
    "quantize": {},
    "benchmark": [{"device": "local-x86", "format": "onnx"}],
}
"""With Paddle Lite, its weights in fewer bits, and a benchmark."""


def tiny(name: str = "tiny", changes: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return a PruningJob like ``TINY`` but for changes (by dotted path; None removes)."""
    return _document(name, with_changes(TINY, changes or {}))


def troubled(
    name: str, digest: str, stage: str, how: str, changes: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Return a tiny PruningJob whose user code goes wrong in a stage (see ``user_code/trouble.py``).

    ``digest`` is the SHA-256 of the code at ``CODE_PATH`` in the store.
    """
    mine = {
        "data.factory": "trouble:splits",
        "data.args.stage": stage,
        "data.args.how": how,
        "code": {"uri": f"file:///store/{CODE_PATH}", "sha256": digest},
    }
    return tiny(name, {**mine, **(changes or {})})


def example(file: str, changes: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return one of the repository's examples."""
    document = yaml.safe_load((ROOT / "examples" / file).read_text())
    return _document(document["metadata"]["name"], with_changes(document["spec"], changes or {}))


def user_code() -> bytes:
    """Return the user code as a zip, the same bytes each time."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for path in sorted(USER_CODE.glob("*.py")):
            archive.writestr(zipfile.ZipInfo(path.name), path.read_bytes())
    return content.getvalue()


def _document(name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "secateur.dev/v1alpha1",
        "kind": "PruningJob",
        "metadata": {"name": name},
        "spec": spec,
    }
