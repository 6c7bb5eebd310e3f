"""What a benchmark starts from: a control plane of its own, our CRD, a namespace."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import yaml

from tests.bench.cluster import kwok, operator
from tests.bench.cluster.client import Client, connected
from tests.bench.job import ROOT
from tests.control_plane.plane import ControlPlane, control_plane
from tests.control_plane.processes import free_ports

CRD = ROOT / "crds" / "secateur.dev_pruningjobs.yaml"
_DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_NAMESPACES = "/api/v1/namespaces"


@dataclass(frozen=True)
class OwnCluster:
    """A control plane with our CRD and one pretended node."""

    api: Client
    plane: ControlPlane
    folder: Path
    kubelet_port: int
    """Where kwok answers for the node's kubelet."""

    def pods(self, run_seconds: float) -> AbstractContextManager[None]:
        """Let pods start, and end after so long."""
        return kwok.running(self.plane, self.folder, self.kubelet_port, run_seconds)

    @contextmanager
    def without_controllers(self) -> Iterator[None]:
        """Let Kubernetes' own controllers and the scheduler rest: the cores are for who is measured."""
        names = ("kube-controller-manager", "kube-scheduler")
        resting = [psutil.Process(self.plane.processes[name].pid) for name in names]
        for process in resting:
            process.suspend()
        try:
            yield
        finally:
            for process in resting:
                process.resume()

    def operator(self) -> AbstractContextManager[operator.Operator]:
        """Run the operator for all namespaces."""
        return operator.running(self.plane.kubeconfig, self.folder)


@asynccontextmanager
async def own_cluster(folder: Path) -> AsyncIterator[OwnCluster]:
    """Start one, without anything that runs pods."""
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    if not assets:
        raise SystemExit("KUBEBUILDER_ASSETS must name the folder of etcd, kube-apiserver and so on")
    with control_plane(folder / "plane", Path(assets), controllers=True) as plane:
        async with connected(plane.kubeconfig) as api:
            await need_crd(api)
            await api.create("/api/v1/nodes", kwok.node())
            yield OwnCluster(api, plane, folder, free_ports(1)[0])


async def need_crd(api: Client) -> None:
    """Install the CRD if it is not there, and wait until it is served."""
    document = yaml.safe_load(CRD.read_text())
    name = document["metadata"]["name"]
    there = await api.items(_DEFINITIONS)
    if not any(one["metadata"]["name"] == name for one in there):
        await api.create(_DEFINITIONS, document)
    await api.wait(f"{_DEFINITIONS}?fieldSelector=metadata.name={name}", _is_served)


def _is_served(definition: dict[str, Any]) -> bool:
    conditions = definition.get("status", {}).get("conditions") or []
    return any(one["type"] == "Established" and one["status"] == "True" for one in conditions)


async def namespace(api: Client, name: str) -> None:
    """Make a namespace, and wait until pods may be made in it."""
    await api.create(_NAMESPACES, {"metadata": {"name": name}})
    await _usable(api, name)


@asynccontextmanager
async def new_namespace(api: Client, prefix: str) -> AsyncIterator[str]:
    """Make a namespace of a new name; delete it at the end."""
    made = await api.create(_NAMESPACES, {"metadata": {"generateName": f"{prefix}-"}})
    name: str = made["metadata"]["name"]
    try:
        await _usable(api, name)
        yield name
    finally:
        await api.delete(f"{_NAMESPACES}/{name}")


async def _usable(api: Client, name: str) -> None:
    accounts = f"{_NAMESPACES}/{name}/serviceaccounts"
    await api.wait(accounts, lambda account: bool(account["metadata"]["name"] == "default"))
