"""A first PruningJob for a model that was inspected: at most 15 lines, to run as it is and to change."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import yaml

from secateur_api.base import API_VERSION, KIND
from secateur_api.inspection import Inspection
from secateur_api.spec import PruningJobSpec

_WANTED = 0.4
"""Share of the MACs that a first job cuts, where so much can go."""
_ENOUGH = 0.1
_MARGIN = 0.9
"""Of what can be cut at most, for the curves to have a choice."""
_LARGEST_CUT = 0.75
DROP = "2%"


@dataclass(frozen=True)
class Choices:
    """What only the user knows, as the job's file says it."""

    model: dict[str, Any]
    """``spec.model`` without its inputs."""
    data: dict[str, Any]
    name: str


def text_of(found: Inspection, chosen: Choices) -> str:
    """Return the job as YAML."""
    inputs = [one.to_wire() for one in found.inputs]
    for one in inputs:
        if one["dtype"] == "float32":
            del one["dtype"]
    form = found.data.form if found.data is not None else None
    parts: dict[str, Any] = {
        "model": {**chosen.model, "inputs": inputs},
        "data": chosen.data,
        "evaluation": {"form": form.value} if form is not None else None,
        "pruning": _pruning(found),
        "fineTune": {"dataFraction": 1, "epochs": 10},
        "constraints": [{"metric": "accuracyDrop", "max": DROP}],
    }
    lines = [
        f"apiVersion: {API_VERSION}",
        f"kind: {KIND}",
        f"metadata: {_flow({'name': chosen.name})}",
        "spec:",
    ]
    for name, value in parts.items():
        if name == "model":
            lines += ["  model:", *(f"    {key}: {_flow(part)}" for key, part in value.items())]
        elif value is not None:
            lines.append(f"  {name}: {_flow(value)}")
    return "\n".join(lines) + "\n"


def decisions(found: Inspection, spec: PruningJobSpec) -> list[str]:
    """Say what the job takes for granted, and its user must judge: a field and a sentence each."""
    most = found.most.macs or 0.0
    said = [
        f"pruning.target: {_flow(_pruning(found)['target'])} is a first step; at most {most:.0%} of the MACs "
        "can go",
        f"constraints: a drop of {DROP} is allowed; add latency or size, if you need them",
    ]
    if spec.data.factory is None:
        what = "data.images: pictures" if spec.data.images is not None else "data: samples"
        said.append(f"{what} as the model meets them in use, prepared as in its training")
    else:
        said.append(
            "evaluation: accuracy and cross-entropy are assumed; name the metric and loss you train by"
        )
    if spec.model.trained:
        said.append("model.trained: the factory must return the network with its trained weights")
    return said


def name_of(origin: str) -> str:
    """Return a job's name made of a file's or factory's: of ``inference.json`` that of its folder."""
    *_, folder, last = ["", *re.split("[/:]", origin)]
    stem = last.partition(".")[0]
    last = folder if stem in ("inference", "model") else stem
    name = re.sub(r"[^a-z0-9]+", "-", last.lower()).strip("-")[:52].strip("-")
    return name or "job"


def _pruning(found: Inspection) -> dict[str, Any]:
    """Return a target that can be reached: with the defaults, or with no layer protected."""
    with_defaults, most = found.by_default.macs or 0.0, found.most.macs or 0.0
    if with_defaults >= _ENOUGH:
        return {"target": {"macs": _share(with_defaults)}}
    free = {"first": _LARGEST_CUT, "last": _LARGEST_CUT}
    return {"target": {"macs": _share(most)}, "protect": free, "align": 1}


def _share(reachable: float) -> str:
    share = min(_WANTED, reachable * _MARGIN)
    return f"{int(share * 100)}%"


def _flow(value: Any) -> str:
    text: str = yaml.safe_dump(
        value, default_flow_style=True, sort_keys=False, width=10**6, allow_unicode=True
    )
    return text.removesuffix("...\n").strip()
