"""``secateur run`` as a real process, its stages replaced by the stand-in."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from tests.unit.control.jobs import document

_MAIN = """
import sys
from secateur_operator import cli, local_run
from secateur_operator.gateway.local import recall
from tests.integration import stand_in
local_run.run.__defaults__ = ((sys.executable, stand_in.__file__),)
recall.recall.__defaults__ = local_run.run.__defaults__
cli.main()
"""
ROOT = Path(__file__).parents[2]


class Secateur:
    """A home, a file, and the command line on them."""

    def __init__(self, folder: Path, **spec: Any) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self.home = folder / "home"
        self.file = folder / "job.yaml"
        self.write(**spec)

    def write(self, **spec: Any) -> None:
        """Write the PruningJob's file."""
        self.file.write_text(yaml.safe_dump(document(**spec)))

    def start(
        self,
        *options: str,
        command: str = "run",
        to: str | None = None,
        env: dict[str, str] | None = None,
        **steer: Any,
    ) -> subprocess.Popen[str]:
        """Start a command; ``to`` is where a shell sends its stdout and stderr (3: the test)."""
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        environment = {**os.environ, "STAND_IN": json.dumps(steer), "PYTHONPATH": path, **(env or {})}
        words = [sys.executable, "-c", _MAIN, command, str(self.file), "--home", str(self.home), *options]
        if to is not None:
            both = to if " " in to else f"{to} 2>{to}"
            words = ["bash", "-c", f'"$@" 3>&2 >{both}', "bash", *words]
        return subprocess.Popen(
            words,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding=environment.get("PYTHONIOENCODING"),
        )

    def run(self, *options: str, **more: Any) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        process = self.start(*options, **more)
        out, err = process.communicate(timeout=60)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def result(self, **steer: Any) -> dict[str, Any]:
        """Run to the end and return the final resource."""
        done = self.run("-o", "json", **steer)
        assert done.returncode in (0, 1), done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def ended(self) -> dict[str, Any] | None:
        """Return the status as ``secateur status`` shows it, once the job has ended."""
        program = "from secateur_operator import cli; cli.main()"
        command = [sys.executable, "-c", program, "status", "--home", str(self.home), "-o", "json"]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
        if "has no job" in done.stderr:  # killed before it was kept
            return None
        status: dict[str, Any] = json.loads(done.stdout).get("status", {})
        return status if status.get("phase") in ("Succeeded", "Failed") else None

    def worked(self) -> list[str]:
        """Name the units that were worked on, in order, repeats included."""
        path = self.home / "worked"
        return path.read_text().split() if path.exists() else []

    def processes(self) -> list[str]:
        """Return the command lines of all living processes that this home started."""
        marker = f"SECATEUR_TERMINATION_LOG={self.home}".encode()
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                if marker in (entry / "environ").read_bytes():
                    found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode())
            except OSError:
                continue
        return [line for line in found if line]
