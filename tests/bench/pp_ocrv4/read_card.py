"""Read one rendered ID card with the published models and with the pruned ones, side by side in a page.

``python read_card.py HOME KEYS PAGE.html``: the home of the finished jobs ``det.yaml``, ``cls.yaml`` and
``rec.yaml``, the recogniser's dictionary (``ppocr_keys_v1.txt``), and the page to write. Both sets run as
ONNX files on one thread; the times are medians of readings in turns.
"""

from __future__ import annotations

import argparse
import base64
import html
import io
import json
import random
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import onnxruntime
from PIL import Image, ImageDraw
from scipy import ndimage

from tests.bench.pp_ocrv4.pictures import SIDE, Hand, card, fonts_of, seen

JOBS = {"det": "pp-ocrv4-det", "cls": "pp-ocr-cls", "rec": "pp-ocrv4-rec"}
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
HALF = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
TURNS = 15
PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>One card, read twice</title>
<style>body{{font:16px sans-serif;display:flex;flex-wrap:wrap;gap:3em;margin:2em}}img{{width:480px}}</style>
{halves}</html>
"""
SECTION = """<section><h2>{title}</h2>
<img src="{picture}" alt="{title}: the boxes that were found">
<p><b>{ms:.0f} ms</b> a reading; {sizes}</p>
<ol>{texts}</ol></section>
"""

Box = tuple[int, int, int, int]
"""Left, top, right, bottom."""


class Reader:
    """Three models that read a card."""

    def __init__(self, files: dict[str, Path], keys: list[str]) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3  # what onnxruntime leaves out of a model is no news
        self._models = {
            kind: onnxruntime.InferenceSession(str(file), options, ["CPUExecutionProvider"])
            for kind, file in files.items()
        }
        self._letters = ["", *keys, " "]
        classes = self._models["rec"].get_outputs()[0].shape[-1]
        if classes != len(self._letters):
            sys.exit(f"the dictionary has {len(keys)} letters, the recogniser is for {classes - 2}")

    def read(self, picture: Image.Image) -> list[tuple[Box, str]]:
        """Return the boxes of a card from top to bottom, and the text in each."""
        return [(box, self._text(picture.crop(box))) for box in self._boxes(picture)]

    def _run(self, kind: str, pixels: np.ndarray) -> np.ndarray:
        model = self._models[kind]
        output: np.ndarray = model.run(None, {model.get_inputs()[0].name: pixels[None]})[0][0]
        return output

    def _boxes(self, picture: Image.Image) -> list[Box]:
        """Return where the detector's map is above 0.3, and above 0.5 on average.

        Each region is grown as DB's unclip by 1.6 does: the map shows lines thinner than they are.
        """
        scores = self._run("det", prepared(seen(picture), *IMAGENET))[0]
        labels, count = ndimage.label(scores > 0.3)
        means = ndimage.mean(scores, labels, range(1, count + 1))
        boxes = []
        for (rows, columns), score in zip(ndimage.find_objects(labels), means, strict=True):
            height, width = rows.stop - rows.start, columns.stop - columns.start
            if min(height, width) >= 3 and score > 0.5:
                grow = 1.6 * height * width / (2 * (height + width))
                edges = (columns.start - grow, rows.start - grow, columns.stop + grow, rows.stop + grow)
                left, top, right, bottom = (min(max(round(2 * edge), 0), SIDE) for edge in edges)
                boxes.append((left, top, right, bottom))
        return sorted(boxes, key=lambda box: box[1])

    def _text(self, piece: Image.Image) -> str:
        """Return a line's text: the largest score of each step, repeats and blanks left out (CTC)."""
        if self._run("cls", line(piece, 192))[1] > 0.9:
            piece = piece.rotate(180)
        steps = self._run("rec", line(piece, 320)).argmax(-1)
        kept = [s for s, last in zip(steps, [0, *steps[:-1]], strict=True) if s != last]
        return "".join(self._letters[s] for s in kept).strip()


def prepared(picture: Image.Image, mean: tuple[float, ...], std: tuple[float, ...]) -> np.ndarray:
    """Return a picture as the jobs prepare it: float32 [3, H, W], blue first."""
    pixels = np.asarray(picture, np.float32)[..., ::-1] / 255
    return np.ascontiguousarray(((pixels - mean) / std).transpose(2, 0, 1), np.float32)


def line(piece: Image.Image, width: int) -> np.ndarray:
    """Return a line of text as float32 [3, 48, width], zeros on the right."""
    fitting = min(width, max(1, round(48 * piece.width / piece.height)))
    pixels = np.zeros((3, 48, width), np.float32)
    pixels[..., :fitting] = prepared(piece.resize((fitting, 48), Image.Resampling.BILINEAR), *HALF)
    return pixels


# ---- the models of the jobs ----


def status_of(home: Path, job: str) -> dict[str, Any]:
    """Return what ``secateur status`` says of a finished job."""
    secateur = Path(sys.executable).with_name("secateur")
    asked = [secateur, "status", job, "--home", home, "-o", "json"]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr.strip())
    status: dict[str, Any] = json.loads(done.stdout)["status"]
    if status["phase"] != "Succeeded":
        sys.exit(f"job {job} in {home} is {status['phase']}: {status.get('message', '')}")
    return status


def original(home: Path, status: dict[str, Any]) -> Path:
    """Return the unpruned model as preflight converted it; no artifact of the job names it."""
    (unit,) = (unit for stage in status["stages"] if stage["name"] == "preflight" for unit in stage["units"])
    (file,) = (home / "store" / "units" / unit).glob("*/baseline-onnx.onnx")
    return file


def pruned(status: dict[str, Any]) -> Path:
    """Return the job's result."""
    (uri,) = (one["uri"] for one in status["artifacts"] if one.get("format") == "onnx")
    return Path(uri.removeprefix("file://"))


# ---- the page ----


def drawn(picture: Image.Image, boxes: list[Box]) -> str:
    """Return a picture with its boxes as a data URI."""
    shown = picture.copy()
    for box in boxes:
        ImageDraw.Draw(shown).rectangle(box, outline="red", width=2)
    buffer = io.BytesIO()
    shown.save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def section(title: str, found: list[tuple[Box, str]], picture: Image.Image, ms: float, sizes: str) -> str:
    """Return one reader's half of the page."""
    texts = "".join(f"<li>{html.escape(text)}</li>" for _, text in found)
    shown = drawn(picture, [box for box, _ in found])
    return SECTION.format(title=title, picture=shown, ms=ms, sizes=sizes, texts=texts)


def timed(readers: dict[str, Reader], picture: Image.Image) -> dict[str, float]:
    """Return each reader's median milliseconds; they take turns, the first of which does not count."""
    seconds: dict[str, list[float]] = {title: [] for title in readers}
    for _ in range(1 + TURNS):
        for title, reader in readers.items():
            begin = time.perf_counter()
            reader.read(picture)
            seconds[title].append(time.perf_counter() - begin)
    return {title: 1000 * median(values[1:]) for title, values in seconds.items()}


def main() -> None:
    """Read a card with both and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    for name in ("home", "keys", "page"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--fonts", type=Path, default=Path("/usr/share/fonts"), help="folder of the fonts")
    options = parser.parse_args()
    keys = options.keys.read_text(encoding="utf-8").rstrip("\n").split("\n")
    picture = card(Hand("val", fonts_of(options.fonts)["val"], random.Random("a card of no one")))
    jobs = {kind: status_of(options.home, job) for kind, job in JOBS.items()}
    files = {
        "Original": {kind: original(options.home, status) for kind, status in jobs.items()},
        "Pruned": {kind: pruned(status) for kind, status in jobs.items()},
    }
    readers = {title: Reader(models, keys) for title, models in files.items()}
    times = timed(readers, picture)
    halves = ""
    for title, reader in readers.items():
        sizes = ", ".join(
            f"{kind} {file.stat().st_size / 2**20:.2f} MiB" for kind, file in files[title].items()
        )
        halves += section(title, reader.read(picture), picture, times[title], sizes)
        print(f"{title}: {times[title]:.0f} ms a reading; {sizes}")
    options.page.write_text(PAGE.format(halves=halves), encoding="utf-8")
    print(f"wrote {options.page}")


if __name__ == "__main__":
    main()
