"""The operator's settings: read once at the start, never changed."""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from pydantic import ValidationError

from secateur_api.spec import Store
from secateur_api.uri import redacted

_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_LABEL = re.compile(r"([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-\w.]{0,61}[A-Za-z0-9])?", re.A)
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-\w.]{0,61}[A-Za-z0-9])?)?", re.A)
_POD_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


class SettingsError(ValueError):
    """The settings cannot be meant; the message says which and what would be right."""


class LogFormat(str, Enum):
    """How log lines are written."""

    JSON = "json"
    TEXT = "text"


class PullPolicy(str, Enum):
    """When a node pulls the stages' image."""

    ALWAYS = "Always"
    IF_NOT_PRESENT = "IfNotPresent"
    NEVER = "Never"


@dataclass(frozen=True)
class Settings:
    """What ``secateur operator`` is told by its options or by ``SECATEUR_*`` variables."""

    namespaces: tuple[str, ...] = ()
    """Namespaces that are served. None: all, which needs a ClusterRole."""
    selector: tuple[tuple[str, str], ...] = ()
    """Labels of the PruningJobs that are served. None: all."""
    max_running: int = 0
    """How many PruningJobs run at a time in each namespace; the others wait, the oldest first. 0: all run."""
    store: Store | None = None
    """Where jobs keep their results if their spec names no store. None: each must name one."""
    image: str | None = None
    """Image of the stages for jobs that name none. None: each must name one."""
    image_pull_policy: PullPolicy | None = None
    """None leaves it to Kubernetes, which goes by the image's tag."""
    image_pull_secrets: tuple[str, ...] = ()
    """Secrets in the job's namespace that the image is pulled with."""
    job_ttl_seconds: int = 86400
    """After so many seconds a finished Job and its logs go. Results are in the store and in the status, so
    that only logs are lost: a day to read them."""
    workers: int = 64
    """Passes at a time. They wait for the API server nearly all the time: where it is busy, few of them would
    leave the operator idle and PruningJobs waiting."""
    leader_elect: bool = True
    """Whether a Lease decides who works. Without it there must be one replica only."""
    lease_name: str = "secateur-operator"
    """Name of that Lease; operators that share it work in turn."""
    lease_namespace: str | None = None
    """None: the pod's own namespace; outside a pod the first one served, else ``default``."""
    metrics_port: int = 8080
    """Port of ``/metrics``."""
    health_port: int = 8081
    """Port of ``/livez`` and ``/readyz``."""
    log_format: LogFormat = LogFormat.JSON
    """Lines of JSON for machines, or text for people."""
    verbose: bool = False
    """Also log what is not news: what libraries say, passes that read again."""

    def __post_init__(self) -> None:
        """Raise SettingsError for values that cannot be meant."""
        for namespace in self.namespaces:
            if not _NAMESPACE.fullmatch(namespace):
                raise SettingsError(f"--namespace: {namespace!r} is no namespace's name")
        if self.metrics_port == self.health_port:
            raise SettingsError(f"--metrics-port and --health-port: both are {self.health_port}; change one")

    @property
    def release(self) -> str:
        """What all replicas of this operator have in common, and no other operator: its Lease."""
        return f"{self.where_lease_is}/{self.lease_name}"

    @property
    def where_lease_is(self) -> str:
        """The namespace of the Lease."""
        if self.lease_namespace:
            return self.lease_namespace
        if _POD_NAMESPACE.exists():
            return _POD_NAMESPACE.read_text().strip()
        return self.namespaces[0] if self.namespaces else "default"


def selector_of(text: str) -> tuple[tuple[str, str], ...]:
    """Return the labels that ``key=value,key=value`` names. Raises SettingsError."""
    found = {}
    for part in filter(None, text.replace(" ", "").split(",")):
        key, equals, value = part.partition("=")
        if not equals or not _LABEL.fullmatch(key) or not _LABEL_VALUE.fullmatch(value):
            raise SettingsError(f"--selector: {part!r} is no label; write key=value, several with commas")
        if key in found:
            raise SettingsError(f"--selector: {key} is there twice; a label has one value")
        found[key] = value
    return tuple(sorted(found.items()))


def store_of(claim: str | None, uri: str | None, secret: str | None) -> Store | None:
    """Return the default store that three options describe. Raises SettingsError."""
    if claim and uri:
        raise SettingsError(
            "--store-claim and --store-uri: a store is either a claim or a uri; give one of them"
        )
    if secret and not uri and not claim:
        raise SettingsError("--store-secret: it belongs to a store; give --store-uri (or --store-claim) too")
    if uri and redacted(uri) != uri:
        raise SettingsError(
            f"--store-uri: {redacted(uri)} has credentials; give them by --store-secret, not in a URI"
        )
    if not claim and not uri:
        return None
    try:
        return Store(claim=claim or None, uri=uri or None, secret=secret or None)
    except ValidationError as error:
        wrong = error.errors()[0]
        raise SettingsError(
            f"--store-{wrong['loc'][0]}: {wrong['input']!r} is no name of an object"
        ) from None


def instance_name() -> str:
    """Name this process's host: its pod, in a cluster."""
    return socket.gethostname()
