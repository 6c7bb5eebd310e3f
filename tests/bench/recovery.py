"""How much accuracy a job keeps and how much faster the converted model is.

``python -m tests.bench.recovery [--mnist FILE.npz] [--seeds 3] [--home DIR] [--only NAME...]``

The digits residual net over several seeds; with ``--mnist`` (an .npz with uint8 ``images`` and ``labels``)
also MobileNetV1 at -50 % MACs and ResNet50 with the classic layer rules. Each seed trains its own baseline;
accuracies and latencies are those of the converted Paddle Lite models, as the job measured them.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path
from typing import Any

from tests.bench.job import job, run, with_seed


def on_mnist(name: str, npz: str) -> dict[str, Any]:
    """Return a job of this benchmark with the user's data file filled in."""
    document = job(f"tests/bench/jobs/{name}.yaml")
    document["spec"]["data"]["args"]["path"] = str(Path(npz).resolve())
    return document


def row(resource: dict[str, Any]) -> dict[str, float] | None:
    """Return the measured numbers of one finished job; None if it ended before it was measured."""
    status = resource["status"]
    if not status.get("benchmarks"):
        return None
    bench = status["benchmarks"][0]
    chosen = next(r for r in status["rounds"] if r["unit"] == status["model"])["outcome"]
    return {
        "baseline": bench["baseline"]["metric"],
        "pruned": bench["pruned"]["metric"],
        "kept": bench["pruned"]["metric"] / bench["baseline"]["metric"],
        "cut": chosen["cutMacs"],
        "params": chosen["cutParams"],
        "speedup": bench["speedup"],
        "p50_before": bench["baseline"]["p50Seconds"],
        "p50_after": bench["pruned"]["p50Seconds"],
        "size_before": bench["baseline"]["bytes"],
        "size_after": bench["pruned"]["bytes"],
        "seconds": sum(stage["seconds"] for stage in status["stages"]),
    }


def spread(values: list[float], scale: float = 1.0, digits: int = 1) -> str:
    """Write mean (min..max), or the value alone where there is one."""
    shown = [f"{value * scale:.{digits}f}" for value in (statistics.mean(values), min(values), max(values))]
    return shown[0] if len(values) == 1 else f"{shown[0]} ({shown[1]}..{shown[2]})"


def table(name: str, rows: list[dict[str, float]]) -> str:
    """Return one Markdown table row over all seeds."""

    def of(key: str) -> list[float]:
        return [r[key] for r in rows]

    cells = [
        name,
        str(len(rows)),
        spread(of("baseline"), 100),
        spread(of("pruned"), 100),
        spread(of("kept"), 100),
        spread(of("cut"), 100),
        spread(of("params"), 100),
        spread(of("p50_before"), 1e3, 2),
        spread(of("p50_after"), 1e3, 2),
        spread(of("speedup"), 1, 2),
        spread(of("size_before"), 1e-3, 0),
        spread(of("size_after"), 1e-3, 0),
        spread(of("seconds"), 1, 0),
    ]
    return "| " + " | ".join(cells) + " |"


_COLUMNS = [
    *("net", "seeds", "baseline %", "pruned %", "kept %", "MACs cut %", "params cut %"),
    *("p50 before ms", "p50 after ms", "speed-up", "kB before", "kB after", "stage seconds"),
]
HEAD = f"| {' | '.join(_COLUMNS)} |\n|{' --- |' * len(_COLUMNS)}"


def main() -> None:
    """Run the jobs and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mnist")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--home", type=Path, default=Path(".secateur/bench"))
    parser.add_argument("--only", nargs="*")
    options = parser.parse_args()
    cases = {"digits": (job("examples/digits.yaml"), options.seeds)}
    if options.mnist:
        cases["mobilenet-v1-mnist"] = (on_mnist("mobilenet-v1-mnist", options.mnist), 1)
        cases["resnet50-mnist"] = (on_mnist("resnet50-mnist", options.mnist), 1)
    print(HEAD)
    for name, (document, seeds) in cases.items():
        if options.only and name not in options.only:
            continue
        rows = [row(run(with_seed(document, seed), options.home)) for seed in range(seeds)]
        measured = [r for r in rows if r is not None]
        print(
            table(name, measured) if measured else f"| {name} | not measured: every job ended before |",
            flush=True,
        )


if __name__ == "__main__":
    main()
