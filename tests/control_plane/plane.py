"""Starts etcd and kube-apiserver, and if asked kube-controller-manager and kube-scheduler."""

from __future__ import annotations

import contextlib
import functools
import json
import secrets
import ssl
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.control_plane.processes import Process, free_ports

CONTEXT = "testcluster"
"""The context that tests agree to write to."""
START_SECONDS = 90.0
ETCD_BYTES = 4 * 2**30
RATE = 2000
"""Requests per second that the controllers may make; their usual 20 would be what is measured."""

_ANY_CERTIFICATE = ssl._create_unverified_context()


@dataclass
class ControlPlane:
    """A running control plane."""

    folder: Path
    """Its data, logs and certificates."""
    assets: Path
    """Where its binaries (and kubectl) are."""
    server: str
    token: str
    """Of a user in ``system:masters``."""
    processes: dict[str, Process] = field(default_factory=dict)

    @property
    def kubeconfig(self) -> Path:
        """A kubeconfig file of its administrator."""
        return self.folder / "kubeconfig"

    @property
    def authority(self) -> Path:
        """The certificate that the API server's is checked with."""
        return self.folder / "certificates" / "apiserver.crt"


@contextlib.contextmanager
def control_plane(
    folder: Path, assets: Path, controllers: bool = False, more: Mapping[str, str] | None = None
) -> Iterator[ControlPlane]:
    """Run a control plane in an empty folder, ready when this returns; stop it at the end.

    ``assets`` holds etcd and kube-apiserver (as ``KUBEBUILDER_ASSETS`` does); ``controllers`` starts
    kube-controller-manager and kube-scheduler too, which must be there as well. Without them pods need no
    service account, and nothing reacts to what is created. ``more`` are further options of kube-apiserver.
    Raises StartFailed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    client, peer, port = free_ports(3)
    plane = ControlPlane(folder, assets, f"https://127.0.0.1:{port}", secrets.token_hex(16))
    with contextlib.ExitStack() as stack:

        def run(name: str, ready: Callable[[], bool], options: dict[str, str]) -> None:
            command = [str(assets / name), *(f"--{key}={value}" for key, value in options.items())]
            process = Process(folder, name, command)
            stack.callback(process.stop)
            plane.processes[name] = process
            process.wait_until(ready, START_SECONDS)

        etcd = f"http://127.0.0.1:{client}"
        run("etcd", lambda: _answers(f"{etcd}/readyz"), _etcd(plane, etcd, peer))
        _write_identities(plane)
        run(
            "kube-apiserver",
            lambda: _ready(plane),
            {**_api_server(plane, etcd, port, controllers), **(more or {})},
        )
        if controllers:
            for name, options in (
                ("kube-controller-manager", _controller_manager(plane)),
                ("kube-scheduler", {}),
            ):
                (secure,) = free_ports(1)
                healthy = functools.partial(_answers, f"https://127.0.0.1:{secure}/healthz", _ANY_CERTIFICATE)
                run(name, healthy, {**_client(plane, secure), **options})
        yield plane


def _etcd(plane: ControlPlane, url: str, peer: int) -> dict[str, str]:
    peers = f"http://127.0.0.1:{peer}"
    return {
        "data-dir": str(plane.folder / "etcd"),
        "listen-client-urls": url,
        "advertise-client-urls": url,
        "listen-peer-urls": peers,
        "initial-advertise-peer-urls": peers,
        "initial-cluster": f"default={peers}",
        "quota-backend-bytes": str(ETCD_BYTES),
        "unsafe-no-fsync": "true",
        "log-level": "warn",
    }


def _api_server(plane: ControlPlane, etcd: str, port: int, controllers: bool) -> dict[str, str]:
    key = str(plane.folder / "accounts.key")
    return {
        "etcd-servers": etcd,
        "bind-address": "127.0.0.1",
        "secure-port": str(port),
        "cert-dir": str(plane.authority.parent),  # it makes a certificate of its own there
        "service-cluster-ip-range": "10.0.0.0/16",
        "authorization-mode": "RBAC",
        "token-auth-file": str(plane.folder / "tokens.csv"),
        "service-account-issuer": "https://kubernetes.default.svc",
        "service-account-key-file": key,
        "service-account-signing-key-file": key,
        "allow-privileged": "true",
        "max-requests-inflight": str(2 * RATE),
        "max-mutating-requests-inflight": str(RATE),
        **({} if controllers else {"disable-admission-plugins": "ServiceAccount"}),
    }


def _client(plane: ControlPlane, port: int) -> dict[str, str]:
    """Options of a component that talks to the API server."""
    return {
        "kubeconfig": str(plane.kubeconfig),
        "leader-elect": "false",
        "bind-address": "127.0.0.1",
        "secure-port": str(port),
        "kube-api-qps": str(RATE),
        "kube-api-burst": str(2 * RATE),
    }


def _controller_manager(plane: ControlPlane) -> dict[str, str]:
    return {
        "service-account-private-key-file": str(plane.folder / "accounts.key"),
        "root-ca-file": str(plane.authority),
        "concurrent-job-syncs": "20",
    }


def _write_identities(plane: ControlPlane) -> None:
    """Write the administrator's token, the service accounts' key and the kubeconfig."""
    tokens = plane.folder / "tokens.csv"
    tokens.touch(mode=0o600)
    tokens.write_text(f'{plane.token},admin,admin,"system:masters"\n')
    key = plane.folder / "accounts.key"
    subprocess.run(
        ["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", key], check=True
    )
    cluster = {"server": plane.server, "certificate-authority": str(plane.authority)}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": CONTEXT, "cluster": cluster}],
        "users": [{"name": "admin", "user": {"token": plane.token}}],
        "contexts": [{"name": CONTEXT, "context": {"cluster": CONTEXT, "user": "admin"}}],
        "current-context": CONTEXT,
    }
    plane.kubeconfig.touch(mode=0o600)
    plane.kubeconfig.write_text(json.dumps(config, indent=1))


def _ready(plane: ControlPlane) -> bool:
    """Whether the API server answers and has what new objects need."""
    if not plane.authority.exists():
        return False
    trust = ssl.create_default_context(cafile=str(plane.authority))
    return all(
        _answers(f"{plane.server}{path}", trust, plane.token)
        for path in ("/readyz", "/api/v1/namespaces/default")
    )


def _answers(url: str, trust: ssl.SSLContext | None = None, token: str | None = None) -> bool:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), None, 2, context=trust):
            return True
    except (urllib.error.URLError, OSError):
        return False
