"""Which API server tests may write to."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import yaml

from tests.control_plane.plane import CONTEXT, control_plane

CONTEXT_VARIABLE = "SECATEUR_E2E_CONTEXT"
"""Names the context that tests may write to, if it is not ``testcluster``."""


class NoApiServer(Exception):
    """There is none to be had; the message says what is missing."""


class WrongContext(Exception):
    """KUBECONFIG names a cluster that nobody said is for tests."""


def own_cluster() -> Path | None:
    """Return the kubeconfig that KUBECONFIG names, None if it names none.

    Raises WrongContext unless its current context is ``testcluster``, or what SECATEUR_E2E_CONTEXT names.
    """
    named = os.environ.get("KUBECONFIG")
    if not named:
        return None
    file = Path(named)
    allowed = os.environ.get(CONTEXT_VARIABLE, CONTEXT)
    found = yaml.safe_load(file.read_text()).get("current-context")
    if found != allowed:
        raise WrongContext(
            f"KUBECONFIG's current context is {found!r}, not {allowed!r}: tests create and delete objects; "
            f"if that cluster is for tests, set {CONTEXT_VARIABLE}={found}"
        )
    return file


@contextlib.contextmanager
def api_server(folder: Path, controllers: bool = False) -> Iterator[Path]:
    """Give the kubeconfig of KUBECONFIG's cluster, else of a control plane that runs meanwhile in ``folder``.

    Raises NoApiServer where neither can be had.
    """
    kubeconfig = own_cluster()
    if kubeconfig is not None:
        yield kubeconfig
        return
    found = assets("etcd", "kube-apiserver", *(["kube-controller-manager", "kube-scheduler"] * controllers))
    with control_plane(folder, found, controllers) as plane:
        yield plane.kubeconfig


def kubectl() -> str:
    """Return the path of kubectl: on PATH, else in KUBEBUILDER_ASSETS; raises NoApiServer."""
    found = shutil.which("kubectl") or shutil.which("kubectl", path=os.environ.get("KUBEBUILDER_ASSETS", ""))
    if found is None:
        raise NoApiServer("needs kubectl on PATH or in KUBEBUILDER_ASSETS")
    return found


def assets(*needed: str) -> Path:
    """Return the folder that KUBEBUILDER_ASSETS names; raises NoApiServer if it lacks a program."""
    named = os.environ.get("KUBEBUILDER_ASSETS")
    if not named:
        raise NoApiServer(
            "needs an API server: KUBECONFIG, or KUBEBUILDER_ASSETS (a folder with etcd and kube-apiserver)"
        )
    missing = [name for name in needed if not os.access(Path(named) / name, os.X_OK)]
    if missing:
        raise NoApiServer(f"KUBEBUILDER_ASSETS has no {', '.join(missing)}")
    return Path(named)
