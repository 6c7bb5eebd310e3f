"""``secateur inspect | init``: what a model is and what of it can be cut, and a job that does it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from rich.console import Console

from secateur_api import InvalidResource, parse_job
from secateur_api.inspection import Inspection, InspectionRequest
from secateur_api.spec import AnswerForm
from secateur_operator.asked_data import Asked, beside, data_of, written
from secateur_operator.asked_model import WrongWords, request_of
from secateur_operator.document import read_job
from secateur_operator.domain import draft
from secateur_operator.gateway.local import inspection
from secateur_operator.gateway.local.inspection import NotInspected
from secateur_operator.refusal import need, wrong
from secateur_operator.store_cli import expanded
from secateur_operator.view.inspection import print_inspection
from secateur_operator.view.output import Output, print_wire

Model = Annotated[
    str,
    typer.Argument(help="inference.json, inference.pdmodel or an .onnx file; or a factory, module:callable."),
]
Inputs = Annotated[
    list[str] | None,
    typer.Option("--input", help="NAME=1x3x224x224[:int64], batch first; repeatable. A file knows its own."),
]
Arguments = Annotated[
    list[str] | None, typer.Option("--arg", help="NAME=VALUE, an argument of the factory; repeatable.")
]
Code = Annotated[Path | None, typer.Option(help="Folder with your Python modules.", callback=expanded)]


def inspect(
    model: Model,
    inputs: Inputs = None,
    arguments: Arguments = None,
    code: Code = None,
    output: Annotated[Output, typer.Option("-o", "--output", help="How to print it.")] = Output.TABLE,
) -> None:
    """Say what a model is and what of it can be cut; it needs no data.

    Exit code: 0, or 2 where the model cannot be used; the sentence says why.
    """
    need("jobs", "secateur inspect")
    try:
        found = inspection.ask(request_of(model, inputs or [], arguments or [], code))
    except (WrongWords, NotInspected) as error:
        wrong(str(error))
    if output is Output.TABLE:
        print_inspection(Console(), found)
    else:
        print_wire(found, output)


def init(
    model: Model,
    out: Annotated[Path, typer.Option("-o", "--output", help="File to write.", callback=expanded)] = Path(
        "job.yaml"
    ),
    images: Annotated[
        str | None, typer.Option(help="Folder, .zip or bucket of pictures; they need no labels.")
    ] = None,
    labels: Annotated[
        str | None, typer.Option(help="File of their classes, a path and a number a line, for --images.")
    ] = None,
    arrays: Annotated[
        str | None, typer.Option(help=".npz or .npy file of the model's inputs; they need no labels.")
    ] = None,
    lines: Annotated[str | None, typer.Option(help="File of texts, one a line; they need no labels.")] = None,
    vocabulary: Annotated[str | None, typer.Option(help="The model's vocab.txt, for --lines.")] = None,
    data: Annotated[
        str | None, typer.Option(help="module:callable that returns (train, eval), with labels.")
    ] = None,
    mean: Annotated[str | None, typer.Option(help="Of the pictures' channels: 0.485,0.456,0.406.")] = None,
    std: Annotated[str | None, typer.Option(help="As --mean: 0.229,0.224,0.225.")] = None,
    form: Annotated[
        AnswerForm | None, typer.Option(help="What the output is, where it may be read in several ways.")
    ] = None,
    weights: Annotated[str | None, typer.Option(help="Trained weights of a factory's network.")] = None,
    trained: Annotated[
        bool, typer.Option("--trained", help="The factory returns its network with its weights.")
    ] = False,
    inputs: Inputs = None,
    arguments: Arguments = None,
    code: Code = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file.")] = False,
) -> None:
    """Write a PruningJob for a model, to run as it is; say what was found, and what you must decide.

    Exit code: 0, or 2 where the model or the data cannot be used; the sentence says why.
    """
    need("jobs", "secateur init")
    if out.exists() and not force:
        wrong(f"{out} is there already; --force replaces it, -o names another file")
    try:
        request = request_of(model, inputs or [], arguments or [], code)
        named = data_of(Asked(images, labels, mean, std, arrays, lines, vocabulary, data))
        origin = _origin(request, weights, trained, out)
        found = inspection.ask(request.model_copy(update={"data": named, "form": form}))
    except (WrongWords, NotInspected) as error:
        wrong(str(error))
    data_part = {"factory": data} if named is None else written(named, out)
    name = draft.name_of(found.model)
    _write(out, draft.text_of(found, draft.Choices(origin, data_part, name)))
    _say_found(found, out, code)


def _origin(request: InspectionRequest, weights: str | None, trained: bool, out: Path) -> dict[str, Any]:
    """Return ``spec.model`` but for its inputs. Raises WrongWords."""
    if request.exported is not None:
        if weights is not None or trained:
            raise WrongWords("--weights and --trained are a factory's; an exported file brings its weights")
        return {"exported": {"uri": beside(request.exported.uri, out)}}
    if (weights is None) != trained:
        raise WrongWords(
            "weights are missing: give --weights FILE, or --trained where the factory's network has them"
            if weights is None
            else "--weights and --trained: give one of them"
        )
    origin: dict[str, Any] = {"factory": request.factory}
    if request.args:
        origin["args"] = request.args
    if weights is None:
        return {**origin, "trained": True}
    return {**origin, "weights": {"uri": beside(weights, out)}}


def _write(out: Path, text: str) -> None:
    try:
        parse_job(yaml.safe_load(text))
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        wrong(f"cannot write {out}: {error.strerror}")
    except InvalidResource as error:
        wrong(*(f"{out}: {problem}" for problem in error.problems))


def _say_found(found: Inspection, out: Path, code: Path | None) -> None:
    print_inspection(Console(), found, with_layers=False)
    lines = [f"wrote {out}", *(found.data.notes if found.data is not None else []), "you decide:"]
    lines += [f"  {line}" for line in draft.decisions(found, read_job(out).spec)]
    option = f" --code {code}" if code is not None else ""
    for line in [*lines, f"next: secateur run {out}{option}"]:
        print(line)  # noqa: T201
