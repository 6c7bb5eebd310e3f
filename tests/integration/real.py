"""``secateur run`` as a user types it: the real stages on a user's tiny network."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
CODE = Path(__file__).parent / "user_code"
SPEC: dict[str, Any] = {
    "model": {
        "factory": "tiny:Tiny",
        "pretrain": {"epochs": 4, "learningRate": 0.01},
        "inputs": [{"name": "image", "shape": [1, 1, 8, 8]}],
    },
    "data": {"factory": "tiny:splits"},
    "sensitivity": {"ratios": [0.25, 0.5]},
    "pruning": {
        "target": {"macs": "30%"},
        "align": 4,
        "schedule": {"rounds": 1, "step": 0.4, "floor": "20%"},
    },
    "fineTune": {"dataFraction": 1.0, "epochs": 1},
    "convert": [{"format": "onnx"}],
    "benchmark": [],
}


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def status(self) -> dict[str, Any]:
        """The final resource's status (of ``-o yaml``)."""
        found: dict[str, Any] = yaml.safe_load(self.out)["status"]
        return found

    @property
    def ready(self) -> dict[str, Any]:
        """The condition Ready."""
        return next(one for one in self.status["conditions"] if one["type"] == "Ready")


def with_changes(spec: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Return the spec with some values changed; keys are dotted paths, None removes."""
    found: dict[str, Any] = json.loads(json.dumps(spec))
    for path, value in changes.items():
        *parents, last = path.split(".")
        at = found
        for parent in parents:
            at = at.setdefault(parent, {})
        if value is None:
            at.pop(last, None)
        else:
            at[last] = value
    return found


class User:
    """Someone with a folder, a home, and the command line."""

    def __init__(self, folder: Path, home: Path) -> None:
        self.folder = folder
        self.home = home

    def write(self, name: str = "tiny", changes: dict[str, Any] | None = None) -> Path:
        """Write a PruningJob's file, like ``SPEC`` but for ``changes``."""
        document = {
            "apiVersion": "secateur.dev/v1alpha1",
            "kind": "PruningJob",
            "metadata": {"name": name},
            "spec": with_changes(SPEC, changes or {}),
        }
        file = self.folder / f"{name}.yaml"
        file.write_text(yaml.safe_dump(document))
        return file

    def start(self, file: Path, *options: str, **env: str) -> subprocess.Popen[str]:
        """Start ``secateur run FILE --home HOME --code CODE -o yaml``."""
        command = [
            str(Path(sys.executable).with_name("secateur")),
            "run",
            str(file),
            "--home",
            str(self.home),
        ]
        options = options or ("--code", str(CODE))
        return subprocess.Popen(
            [*command, "-o", "yaml", *options],
            env={**os.environ, **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, file: Path, *options: str, **env: str) -> Ended:
        """Run it to its end."""
        return ended(self.start(file, *options, **env))


class Watched:
    """A running command whose stderr is read line by line."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[str] = []

    def until(self, words: str) -> str:
        """Read up to the line that has these words, and return it; fails at the command's end."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line)
            if words in line:
                return line
        raise AssertionError(f"{words!r} was not said: {''.join(self.lines)}")

    def interrupt(self) -> Ended:
        """Press Ctrl-C and wait for the end."""
        self.process.send_signal(signal.SIGINT)
        return ended(self.process)


def ended(process: subprocess.Popen[str], limit: float = 120.0) -> Ended:
    """Wait for a command's end."""
    try:
        out, err = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
        raise AssertionError(f"not done after {limit:.0f} s: {err}") from None
    return Ended(process.returncode, out, err)
