"""Time, memory and overhead of the demo: ``python -m tests.bench.demo [--runs 1] [--example digits]``.

Each run starts with an empty home. Outside stages is the wall time in which no stage process was alive;
start-up is, over all stage processes, the time from the start of the process to its first progress line that
says what it works on. Memory is the sum of the proportional set sizes of the command and all its processes.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import psutil

from secateur_api.stage import PROGRESS_PREFIX
from tests.bench.job import ROOT, SECATEUR

_SAMPLE_SECONDS = 0.25


@dataclass
class Observed:
    """What was seen from outside while the command ran."""

    wall: float = 0.0
    peak_bytes: int = 0
    stages_alive: float = 0.0
    _last: float = field(default_factory=time.monotonic)

    def sample(self, process: psutil.Process) -> None:
        """Add one look at the process tree."""
        now, alive, total = time.monotonic(), False, 0
        for one in [process, *process.children(recursive=True)]:
            try:
                total += one.memory_full_info().pss
                alive = alive or "secateur_jobs" in one.cmdline()
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue  # it ended between the listing and the look
        self.peak_bytes = max(self.peak_bytes, total)
        self.stages_alive += (now - self._last) if alive else 0.0
        self._last = now


def watch(command: list[str]) -> tuple[Observed, str]:
    """Run a command to its end and return what was seen, and its standard output."""
    seen, begin = Observed(), time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as child:
        process, done = psutil.Process(child.pid), threading.Event()

        def sampling() -> None:
            while not done.wait(_SAMPLE_SECONDS):
                seen.sample(process)

        thread = threading.Thread(target=sampling)
        thread.start()
        output = child.stdout.read() if child.stdout else ""
        done.set()
        thread.join()
    seen.wall = time.monotonic() - begin
    return seen, output


def first_lines(home: Path) -> dict[str, float]:
    """Return, per stage process, the seconds from its start to its first useful progress line."""
    found = {}
    for state in sorted(home.glob("jobs/*/children/*/state.json")):
        started = datetime.fromisoformat(json.loads(state.read_text())["startedAt"]).timestamp()
        for log in sorted(state.parent.glob("*.log")):
            lines = [
                json.loads(line.removeprefix(PROGRESS_PREFIX))
                for line in log.read_text(errors="replace").splitlines()
                if line.startswith(PROGRESS_PREFIX)
            ]
            useful = [line["at"] for line in lines if line["step"] != "starting"]
            if useful:
                found[f"{state.parent.name}/{log.stem}"] = useful[0] - started
    return found


def main() -> None:
    """Run the demo and print what was measured as a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--example", default="digits")
    options = parser.parse_args()
    print("| run | phase | wall s | outside stages s | overhead % | peak MiB | slowest first line s |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    stages: list[tuple[str, float]] = []
    for number in range(1, options.runs + 1):
        with tempfile.TemporaryDirectory(prefix="secateur-bench-") as home:
            file = str(ROOT / "examples" / f"{options.example}.yaml")
            seen, output = watch([SECATEUR, "run", file, "--home", home, "-o", "json"])
            status = json.loads(output)["status"]
            lines = first_lines(Path(home))
        outside = seen.wall - seen.stages_alive
        print(
            f"| {number} | {status['phase']} | {seen.wall:.0f} | {outside:.1f} | {outside / seen.wall:.1%} "
            f"| {seen.peak_bytes / 2**20:.0f} | {max(lines.values()):.2f} |",
            flush=True,
        )
        stages = [(f"{s['name']} {s.get('round', '')}".strip(), s["seconds"]) for s in status["stages"]]
    print("\n| stage (last run) | seconds of work |\n| --- | --- |")
    for name, seconds in stages:
        print(f"| {name} | {seconds:.1f} |")


if __name__ == "__main__":
    main()
