"""Read one rendered ID card with the published models and with the pruned ones, side by side in a page.

``python read_card.py HOME KEYS PAGE.html``: the home of the finished jobs ``det.yaml``, ``cls.yaml`` and
``rec.yaml``, the recogniser's dictionary (``ppocr_keys_v1.txt``), and the page to write. The models run as
ONNX files on one thread; the times are medians of readings in turns.
"""

from __future__ import annotations

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

import numpy as np
import onnxruntime
from pictures import FONTS, card
from PIL import Image, ImageDraw
from scipy import ndimage

JOBS = {"det": "pp-ocrv4-det", "cls": "pp-ocr-cls", "rec": "pp-ocrv4-rec"}
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
TURNS = 15

Box = tuple[int, int, int, int]


class Reader:
    """The three models of one role, ``baseline`` or ``pruned``."""

    def __init__(self, home: Path, role: str, keys: list[str]) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.files = {kind: model_file(home, job, role) for kind, job in JOBS.items()}
        self._models = {
            kind: onnxruntime.InferenceSession(str(file), options) for kind, file in self.files.items()
        }
        self._letters = ["", *keys, " "]

    def read(self, picture: Image.Image) -> list[tuple[Box, str]]:
        """Return the boxes (left, top, right, bottom) of a picture of 320x320, and the text in each."""
        return [(box, self._text(picture.crop(box))) for box in self._boxes(picture)]

    def _run(self, kind: str, pixels: np.ndarray) -> np.ndarray:
        model = self._models[kind]
        return model.run(None, {model.get_inputs()[0].name: pixels[None]})[0][0]

    def _boxes(self, picture: Image.Image) -> list[Box]:
        """Return where the detector's map is above 0.3, each region grown as DB's unclip by 1.6 does."""
        found, _ = ndimage.label(self._run("det", prepared(picture, *IMAGENET))[0] > 0.3)
        boxes = []
        for rows, columns in ndimage.find_objects(found):
            height, width = rows.stop - rows.start, columns.stop - columns.start
            if min(height, width) >= 3:
                grow = round(1.6 * height * width / (2 * (height + width)))
                top, left = rows.start - grow, columns.start - grow
                boxes.append((max(left, 0), max(top, 0), columns.stop + grow, rows.stop + grow))
        return sorted(boxes, key=lambda box: (box[1] // 12, box[0]))

    def _text(self, piece: Image.Image) -> str:
        scores = self._run("cls", line(piece, 192))
        if scores[1] > 0.9:
            piece = piece.rotate(180)
        steps = self._run("rec", line(piece, 320)).argmax(-1)
        kept = [s for s, before in zip(steps, [-1, *steps[:-1]], strict=True) if s != before]
        return "".join(self._letters[s] for s in kept)


def model_file(home: Path, job: str, role: str) -> Path:
    """Return the ONNX file of a job's original or pruned model, as ``secateur status`` names it."""
    secateur = Path(sys.executable).with_name("secateur")
    asked = [secateur, "status", job, "--home", home, "-o", "json"]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr.strip())
    status = json.loads(done.stdout)["status"]
    stage = {"baseline": "preflight", "pruned": "convert"}[role]
    units = [unit for one in status["stages"] if one["name"] == stage for unit in one["units"]]
    files = [file for unit in units for file in (home / "store" / "units" / unit).glob(f"*/{role}-onnx.onnx")]
    if not files:
        sys.exit(
            f"job {job} in {home} has no {role} ONNX model: {status['phase']} {status.get('message', '')}"
        )
    return files[0]


def prepared(picture: Image.Image, mean: tuple[float, ...], std: tuple[float, ...]) -> np.ndarray:
    """Return a picture as the models were trained on it: float32 [3, H, W], blue first."""
    pixels = np.asarray(picture, np.float32)[..., ::-1] / 255
    return np.ascontiguousarray(((pixels - mean) / std).transpose(2, 0, 1), np.float32)


def line(piece: Image.Image, width: int) -> np.ndarray:
    """Return a line of text as float32 [3, 48, width], zeros on the right."""
    fitting = min(width, max(1, round(48 * piece.width / piece.height)))
    pixels = np.zeros((3, 48, width), np.float32)
    resized = piece.resize((fitting, 48), Image.Resampling.BILINEAR)
    pixels[..., :fitting] = prepared(resized, (0.5,) * 3, (0.5,) * 3)
    return pixels


def drawn(picture: Image.Image, found: list[tuple[Box, str]]) -> str:
    """Return a picture with its boxes as a data URI."""
    shown = picture.copy()
    for box, _ in found:
        ImageDraw.Draw(shown).rectangle(box, outline="red")
    buffer = io.BytesIO()
    shown.save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def column(title: str, reader: Reader, picture: Image.Image, seconds: list[float]) -> str:
    """Return one reader's half of the page."""
    found = reader.read(picture)
    sizes = ", ".join(f"{kind} {file.stat().st_size / 2**20:.2f} MiB" for kind, file in reader.files.items())
    texts = "".join(f"<li>{html.escape(text)}</li>" for _, text in found)
    return (
        f"<section><h2>{title}</h2><img src='{drawn(picture, found)}' alt='{title}: the boxes that it found'>"
        f"<p><b>{1000 * median(seconds):.0f} ms</b> a reading, {len(found)} boxes; {sizes}</p>"
        f"<ul>{texts}</ul></section>"
    )


def main() -> None:
    """Read a card in turns and write the page."""
    home, keys, page = (Path(argument) for argument in sys.argv[1:4])
    letters = keys.read_text(encoding="utf-8").splitlines()
    fonts = sorted(Path("/usr/share/fonts").rglob(FONTS["val"]))
    picture = card(random.Random(sys.argv[4] if len(sys.argv) > 4 else "a card of no one"), fonts)
    readers = {"Original": Reader(home, "baseline", letters), "Pruned": Reader(home, "pruned", letters)}
    seconds: dict[str, list[float]] = {title: [] for title in readers}
    for _ in range(TURNS):
        for title, reader in readers.items():
            begin = time.perf_counter()
            reader.read(picture)
            seconds[title].append(time.perf_counter() - begin)
    halves = "".join(column(title, reader, picture, seconds[title]) for title, reader in readers.items())
    page.write_text(
        "<!doctype html><html lang='en'><meta charset='utf-8'><title>One card, read twice</title>"
        "<style>body{font:16px sans-serif;display:flex;gap:2em;margin:2em}img{width:320px}</style>"
        f"<main style='display:flex;gap:3em'>{halves}</main></html>",
        encoding="utf-8",
    )
    for title, values in seconds.items():
        print(f"{title}: {1000 * median(values):.0f} ms a reading")
    print(f"wrote {page}")


if __name__ == "__main__":
    main()
