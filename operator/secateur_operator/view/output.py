"""A PruningJob on stdout: as tables, YAML or JSON."""

from __future__ import annotations

import json
import sys
from enum import Enum
from typing import Any

import yaml
from rich.console import Console

from secateur_api import PruningJob
from secateur_api.base import Contract
from secateur_operator.view.summary import print_summary


class Output(str, Enum):
    """How a resource is written to stdout."""

    TABLE = "table"
    YAML = "yaml"
    JSON = "json"


def print_job(job: PruningJob, output: Output) -> None:
    """Print a job."""
    if output is Output.TABLE:
        print_summary(Console(), job)
    else:
        print_wire(job, output)


def print_wire(document: Contract, output: Output) -> None:
    """Print what a program reads: YAML, or JSON."""
    wire = document.to_wire()
    sys.stdout.write(as_yaml(wire) if output is Output.YAML else json.dumps(wire, indent=2) + "\n")


def as_yaml(document: dict[str, Any]) -> str:
    """Return a document as YAML, in letters that stdout has."""
    text: str = yaml.safe_dump(document, sort_keys=False, allow_unicode=_has_all_letters(), width=110)
    return text


def _has_all_letters() -> bool:
    return (sys.stdout.encoding or "").lower().replace("-", "").startswith("utf")
