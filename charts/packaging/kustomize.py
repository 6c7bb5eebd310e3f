"""The kustomize base: the chart's objects with default values, without what only Helm reads."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import yaml

NAMESPACE = "secateur-system"
_KUBERNETES = "1.33.0"
"""The oldest version that the chart admits."""
_HELMS_LABELS = ("helm.sh/chart", "app.kubernetes.io/managed-by")
_HEAD = "# Made from the chart by `make generate`; change charts/secateur, or write an overlay.\n"


class NoHelm(Exception):
    """Helm is not on PATH."""


def base(chart: Path) -> str:
    """Render the chart and return the objects as YAML. Raises NoHelm, CalledProcessError."""
    helm = shutil.which("helm")
    if helm is None:
        raise NoHelm("helm is not on PATH")
    options = f"--namespace {NAMESPACE} --kube-version {_KUBERNETES} --set crds.install=false".split()
    command = [helm, "template", "secateur", str(chart), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    documents = [document for document in yaml.safe_load_all(done.stdout) if document]
    return _HEAD + yaml.safe_dump_all((_without_helm(d) for d in documents), sort_keys=False, width=110)


def _without_helm(document: dict[str, Any]) -> dict[str, Any]:
    labels = document["metadata"]["labels"]
    kept = {key: value for key, value in labels.items() if key not in _HELMS_LABELS}
    return {**document, "metadata": {**document["metadata"], "labels": kept}}
