"""Run whole jobs through the command line, as a user does, and read what was measured."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
SECATEUR = str(Path(sys.executable).with_name("secateur"))


def job(path: str) -> dict[str, Any]:
    """Return a PruningJob of this checkout as a dict."""
    document: dict[str, Any] = yaml.safe_load((ROOT / path).read_text())
    return document


def with_seed(document: dict[str, Any], seed: int) -> dict[str, Any]:
    """Return the job with another seed and a name of its own."""
    changed = copy.deepcopy(document)
    changed["spec"]["seed"] = seed
    changed["metadata"]["name"] += f"-{seed}"
    return changed


def run(document: dict[str, Any], home: Path, *options: str) -> dict[str, Any]:
    """Run a job to its end and return the final resource; ``options`` are the command's."""
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        yaml.safe_dump(document, file)
        file.flush()
        command = [SECATEUR, "run", file.name, "--home", str(home), "-o", "json", *options]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode not in (0, 1):
        raise SystemExit(f"{' '.join(command)} exited with {done.returncode}")
    resource: dict[str, Any] = json.loads(done.stdout)
    return resource
