"""Helm on the chart of this checkout."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "secateur"
NAMESPACE = "secateur-system"
_KUBERNETES = "1.34.0"
Document = dict[str, Any]


class NoHelm(Exception):
    """There is none on PATH."""


class Refused(AssertionError):
    """Helm ended with an error; the message is what it said."""


def helm(*words: str) -> str:
    """Run helm and return what it prints; raises NoHelm, Refused."""
    program = shutil.which("helm")
    if program is None:
        raise NoHelm("needs helm on PATH")
    done = subprocess.run([program, *words], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Refused(done.stdout + done.stderr)
    return done.stdout


def settings(values: dict[str, Any]) -> list[str]:
    """Return the options that set values, by dotted path."""
    return [word for path, value in values.items() for word in ("--set-json", f"{path}={json.dumps(value)}")]


def render(values: dict[str, Any], namespace: str = NAMESPACE, release: str = "secateur") -> list[Document]:
    """Return what the chart makes of some values; raises Refused."""
    options = ["--namespace", namespace, "--kube-version", _KUBERNETES, *settings(values)]
    text = helm("template", release, str(CHART), *options)
    return [document for document in yaml.safe_load_all(text) if document]


def of_kind(documents: list[Document], kind: str) -> list[Document]:
    """Return the documents of a kind."""
    return [one for one in documents if one["kind"] == kind]


def only(documents: list[Document], kind: str) -> Document:
    """Return the one document of a kind; fails if there is another number of them."""
    (found,) = of_kind(documents, kind)
    return found
