"""A model as the command line names it: an exported file or ``module:callable``, its inputs and arguments."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import yaml
from pydantic import ValidationError

from secateur_api import InvalidResource
from secateur_api.inspection import InspectionRequest
from secateur_api.spec import Code, Exported, InputSpec
from secateur_api.spec.types import CALLABLE
from secateur_api.uri import local_path
from secateur_operator.local_files import code_at

ENDINGS = (".json", ".pdmodel", ".onnx")
_INPUT = re.compile(r"([A-Za-z_][A-Za-z0-9_.-]*)=([0-9]+(?:x[0-9]+)*)(?::(\w+))?")


class WrongWords(ValueError):
    """What was typed is no model, input or argument; the message says what would be one."""


def request_of(
    model: str, inputs: Sequence[str], arguments: Sequence[str], code: Path | None
) -> InspectionRequest:
    """Return what is asked about a model. Raises WrongWords."""
    declared = [_input(text) for text in inputs]
    if model.endswith(ENDINGS):
        if arguments or code is not None:
            raise WrongWords("--arg and --code are a factory's (module:callable); a file needs neither")
        return InspectionRequest(exported=_exported(model), inputs=declared)
    if re.fullmatch(CALLABLE, model) is None:
        raise WrongWords(
            f"MODEL {model!r} is neither an exported file (inference.json, inference.pdmodel, model.onnx) "
            "nor a factory (module:callable)"
        )
    if not declared:
        raise WrongWords(
            "--input is missing: a factory does not say what its network takes; give each input, as in "
            "--input image=1x3x224x224"
        )
    return InspectionRequest(
        factory=model, args=dict(map(_argument, arguments)), inputs=declared, code=_code(code)
    )


def _exported(model: str) -> Exported:
    path = local_path(model)
    if path is None:
        return Exported(uri=model)
    if not path.is_file():
        raise WrongWords(f"MODEL: there is no file {model}")
    return Exported(uri=str(path.absolute()))


def _input(text: str) -> InputSpec:
    found = _INPUT.fullmatch(text)
    if found is None:
        raise WrongWords(
            f"--input {text!r} is no name=shape, such as image=1x3x224x224 or ids=1x128:int64 (batch first)"
        )
    name, shape, dtype = found.groups()
    try:
        return InputSpec.model_validate(
            {"name": name, "shape": list(map(int, shape.split("x"))), "dtype": dtype or "float32"}
        )
    except ValidationError as error:
        raise WrongWords(f"--input {text!r}: {error.errors()[0]['msg'].lower()}") from None


def _argument(text: str) -> tuple[str, object]:
    name, is_given, value = text.partition("=")
    if not is_given or not name.isidentifier():
        raise WrongWords(f"--arg {text!r} is no name=value, such as num_classes=10")
    try:
        return name, yaml.safe_load(value)
    except yaml.YAMLError:
        return name, value


def _code(folder: Path | None) -> Code | None:
    if folder is None:
        return None
    try:
        return code_at(folder.absolute(), "--code")
    except InvalidResource as error:
        raise WrongWords(str(error.problems[0])) from None
