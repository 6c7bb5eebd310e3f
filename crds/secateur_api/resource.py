"""The PruningJob resource, and reading one from untrusted input with errors a person can act on."""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from secateur_api.base import API_VERSION, KIND, Contract
from secateur_api.spec import BUILT_IN_CRITERIA, PruningJobSpec
from secateur_api.status import PruningJobStatus
from secateur_api.uri import redacted

SPEC_LIMIT = 32 * 1024
"""Longest spec in bytes of JSON, defaults included. A stage is told the spec, what went before and the
verdict in one environment variable (:data:`secateur_api.stage.INPUT_LIMIT`); with this, the longest fits."""
NAME_PATTERN = "^[a-z0-9]([-a-z0-9]{0,50}[a-z0-9])?$"
NAME_MESSAGE = (
    "a PruningJob's name is the beginning of its pods' host names: at most 52 lower-case letters, digits "
    "and '-', with a letter or a digit first and last (no dots)"
)


def _fitting(name: str) -> str:
    if re.fullmatch(NAME_PATTERN[1:-1], name) is None:
        raise PydanticCustomError("rule", "{rule}", {"rule": NAME_MESSAGE})
    return name


ObjectName = Annotated[str, AfterValidator(_fitting)]


class ObjectMeta(BaseModel):
    """The part of Kubernetes' metadata that Secateur reads; the rest is kept as it is."""

    model_config = ConfigDict(extra="allow", frozen=True)
    name: ObjectName
    namespace: str = "default"
    uid: str = ""
    generation: int = 1
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None


class PruningJob(Contract):
    """Make a PaddlePaddle model smaller and prove it."""

    api_version: Literal["secateur.dev/v1alpha1"]
    kind: Literal["PruningJob"]
    metadata: ObjectMeta
    spec: PruningJobSpec
    status: Annotated[PruningJobStatus, Field(default_factory=PruningJobStatus)]


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a document."""

    path: str
    """Where: ``spec.pruning.layers[0].ratio``."""
    message: str
    """What, and what would be right."""

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


class InvalidResource(ValueError):
    """A document is no valid PruningJob; ``problems`` says why, all at once."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        super().__init__("; ".join(str(p) for p in problems))


def parse_job(document: object) -> PruningJob:
    """Read a PruningJob from parsed YAML or JSON.

    Raises InvalidResource with every problem found: its field path, what is wrong, what would be right.
    """
    if not isinstance(document, dict):
        raise InvalidResource([Problem("", f"expected a {KIND} (a mapping), found {_name(document)}")])
    if document.get("kind") != KIND:
        raise InvalidResource([Problem("kind", f"expected {KIND!r}, found {document.get('kind')!r}")])
    if document.get("apiVersion") != API_VERSION:
        raise InvalidResource(
            [Problem("apiVersion", f"expected {API_VERSION!r}, found {document.get('apiVersion')!r}")]
        )
    strange = list(_not_json(document, ""))
    if strange:
        raise InvalidResource(strange)
    try:
        # as JSON, where types are strict as the API server's are: no "4" for 4, no "yes" for true
        text = json.dumps(document, allow_nan=False)
        job = PruningJob.model_validate_json(text, strict=True, by_alias=True, by_name=False)
    except ValidationError as error:
        problems = [_problem(dict(detail)) for detail in error.errors(include_url=False)]
        raise InvalidResource(problems) from None
    size = _bytes(job.spec.to_wire())
    if size > SPEC_LIMIT:
        raise InvalidResource([_too_long(job.spec.to_wire(), size)])
    return job


def _not_json(value: object, path: str) -> Iterator[Problem]:
    """Yield what JSON cannot say: it would reach a factory as something else than what was written."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if isinstance(key, str) and not _is_text(key):
                yield Problem(path, f"the name {_short(key)} has half of a character; leave it out")
            yield from _not_json(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _not_json(inner, f"{path}[{index}]")
    elif isinstance(value, float) and not math.isfinite(value):
        yield Problem(path, f"{value} is no number that JSON has; expected a finite one")
    elif isinstance(value, int) and not -(2**63) <= value < 2**63:
        yield Problem(path, f"{_short(value)} is beyond 64 bits, where a cluster rounds it; put it in quotes")
    elif isinstance(value, str) and not _is_text(value):
        yield Problem(path, f"{_short(value)} has half of a character (U+D800 to U+DFFF); leave it out")
    elif value is not None and not isinstance(value, (str, int, float, bool)):
        kind = type(value).__name__
        yield Problem(
            path, f"a value of type {kind} cannot be written in JSON; expected text, a number, a list ..."
        )


def _is_text(value: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in value)


def _too_long(spec: dict[str, Any], size: int) -> Problem:
    """Name the part of a spec that takes the most room."""
    path, part = "spec", spec
    while isinstance(part, dict) and part and path.count(".") < 2:
        name = max(part, key=lambda key: _bytes(part[key]))
        path, part = f"{path}.{name}", part[name]
    return Problem(
        path,
        f"the spec has {size} bytes as JSON, {SPEC_LIMIT} are allowed, and {_bytes(part)} of them are here; "
        "put long values into a file that the factory reads (in the image, in spec.code or in the store)",
    )


def _bytes(value: object) -> int:
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(errors="replace"))


def _problem(detail: dict[str, Any]) -> Problem:
    location = detail["loc"]
    path = ""
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else str(part)
    kind = detail["type"]
    context = detail.get("ctx", {})
    value = detail.get("input")
    if kind == "extra_forbidden":
        known = _fields_at(location[:-1])
        near = difflib.get_close_matches(str(location[-1]), known, n=1, cutoff=0.6)
        hint = f"did you mean {near[0]!r}?" if near else f"known fields: {', '.join(sorted(known))}"
        return Problem(path, f"unknown field; {hint}")
    if kind == "missing":
        return Problem(path, "this field is required")
    if kind == "rule":
        return Problem(path, context["rule"])
    if kind == "enum" or kind == "literal_error":
        near = difflib.get_close_matches(
            str(value), str(context["expected"]).replace("'", "").replace(" or ", ", ").split(", "), n=1
        )
        hint = f"; did you mean {near[0]!r}?" if near else ""
        return Problem(path, f"{_short(value)} is not one of {context['expected']}{hint}")
    if kind == "string_pattern_mismatch":
        return Problem(path, _pattern_words(path, value, context["pattern"]))
    if kind == "string_type":
        return Problem(
            path, f"expected text, found {_short(value)}; put it in quotes, with its unit if it has one"
        )
    return Problem(path, f"{detail['msg'][0].lower()}{detail['msg'][1:]}, found {_name(value)}")


_SHOWN = 80
_EXAMPLES: dict[str, str] = {
    "factory": "module:callable, such as 'paddle.vision.models:mobilenet_v1'",
    "criterion": f"{', '.join(BUILT_IN_CRITERIA)}, or module:callable",
    "metric": "accuracy, top5_accuracy, agreement, or module:callable",
    "loss": "cross_entropy, mse, or module:callable",
    "macs": "a percentage such as '50%'",
    "params": "a percentage such as '50%'",
    "floor": "a percentage such as '2%'",
    "max": "a quantity such as '1%', '500ms', '50Mi' or '300M'",
    "min": "a factor such as '1.3x'",
    "wallClock": "a duration such as '6h' or '90m'",
    "sha256": "64 hexadecimal digits in lower case",
    "cpu": "a CPU quantity such as '2' or '500m'",
    "memory": "a memory quantity such as '4Gi'",
    "gpuWait": "a duration such as '10m'",
    "name": "letters, digits, '-'",
    "device": "local-x86",
}


def _pattern_words(path: str, value: object, pattern: str) -> str:
    field = path.rsplit(".", 1)[-1]
    return f"{_short(value)} is not valid here; expected {_EXAMPLES.get(field, f'text matching {pattern}')}"


def _name(value: object) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    return _short(value)


def _short(value: object) -> str:
    text = redacted(repr(value))
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}... ({len(text)} characters)"


def _fields_at(location: tuple[str | int, ...]) -> list[str]:
    """Names of the fields of the model that a location leads to."""
    model: type[BaseModel] = PruningJob
    for part in location:
        if isinstance(part, int):
            continue
        for name, field in model.model_fields.items():
            if (field.alias or name) == part:
                found = _model_in(field.annotation)
                if found is not None:
                    model = found
                break
    return [field.alias or name for name, field in model.model_fields.items()]


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in get_args(annotation):
        found = _model_in(inner)
        if found is not None:
            return found
    return None
