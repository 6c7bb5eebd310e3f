"""The same job with labels and without: ``python -m tests.bench.unlabelled [--nets ...] [--home FOLDER]``.

The baseline is trained once, with labels. Then each of the nets is cut to half of its MACs twice: as its
example says, and judged by agreement, which reads no label: the unpruned model's answers are all there is.
Both results are then judged by the labels of the evaluation set.
"""

from __future__ import annotations

import argparse
import copy
from pathlib import Path
from typing import Any

from secateur_api import parse_job
from secateur_api.spec import Model, PruningJobSpec
from secateur_jobs import checkpoint
from secateur_jobs.training.evaluate import evaluate
from secateur_jobs.user_code import load_data
from tests.bench.job import job, run

NETS = ("digits", "mobilenet-v1", "mobilenet-v3", "idcard-ocr", "ernie-textcls")
_FORMS = {"sequence_accuracy": "sequence"}


def labelled(net: str) -> dict[str, Any]:
    """Return the example's job, with half of the MACs as its only aim, from a well-trained baseline.

    Of one that has not, labels go on to teach what no unpruned model can.
    """
    document = job(f"examples/{net}.yaml")
    spec = document["spec"]
    spec |= {"constraints": [], "convert": [{"format": "onnx"}], "benchmark": []}
    spec["pruning"]["target"] = {"macs": "50%"}
    spec["pruning"]["schedule"]["floor"] = "30%"
    spec["model"]["pretrain"]["epochs"] *= 3
    return document


def unlabelled(document: dict[str, Any], weights: Path) -> dict[str, Any]:
    """Return the same job on the same baseline, whose data have no labels."""
    changed = copy.deepcopy(document)
    spec, changed["metadata"]["name"] = changed["spec"], f"{document['metadata']['name']}-unlabelled"
    del spec["model"]["pretrain"]
    spec["model"]["weights"] = {"uri": str(weights)}
    metric = spec.get("evaluation", {}).get("metric", "accuracy")
    spec["evaluation"] = {"metric": "agreement", "form": _FORMS.get(metric, "classes")}
    return changed


def _file(home: Path, uri: str) -> Path:
    path = Path(uri.removeprefix("file://"))
    return path if path.is_absolute() else home / path


def _metric(spec: PruningJobSpec, model: Model, file: Path) -> float:
    """Return what the labels say of a checkpoint."""
    net = checkpoint.from_bytes(file.read_bytes(), model)
    return evaluate(net, load_data(spec.data, len(spec.model.inputs)).eval, spec.evaluation)


def measure(net: str, home: Path) -> str:
    """Return a row of the table."""
    document = labelled(net)
    first = run(document, home / net)
    baseline = next((home / net / "store" / "units").glob("pretrain-*/*/checkpoint.safetensors"))
    second = run(unlabelled(document, baseline.resolve()), home / f"{net}-unlabelled")
    spec = parse_job(document).spec
    checkpoints = [
        _file(home, next(one["uri"] for one in found["status"]["artifacts"] if one["kind"] == "checkpoint"))
        for found in (first, second)
    ]
    base, with_labels, without = (_metric(spec, spec.model, file) for file in (baseline, *checkpoints))
    rounds = [found["status"]["rounds"][-1]["outcome"] for found in (first, second)]
    cells = [
        f"{net} ({spec.evaluation.metric})",
        *(f"{100 * one:.1f}" for one in (base, with_labels, without)),
        f"{100 * (without - with_labels):+.1f}",
        f"{100 * rounds[1]['numbers']['metric']:.1f}",
        " / ".join(f"{100 * one['cutMacs']:.1f}" for one in rounds),
    ]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nets", nargs="*", default=NETS, choices=NETS)
    parser.add_argument("--home", type=Path, default=Path(".secateur/bench/unlabelled"))
    options = parser.parse_args()
    print("| net | baseline | with labels | without | points apart | agreement | MACs cut, with / without |")
    print("|" + " --- |" * 7)
    for net in options.nets:
        print(measure(net, options.home), flush=True)


if __name__ == "__main__":
    main()
