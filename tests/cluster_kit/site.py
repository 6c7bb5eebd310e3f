"""A namespace with a store, and an operator that serves it: where an end-to-end test takes place."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.cluster_kit.cluster import Cluster, Refused
from tests.cluster_kit.keeper import CLAIM, Keeper
from tests.cluster_kit.operator import Operator
from tests.cluster_kit.waiting import wait_until
from tests.cluster_kit.witness import Witness

PREFIX = "secateur-e2e-"
"""Of every namespace that these tests make."""
RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}
MARGIN_SECONDS = 30.0
"""Within it a user sees what is wrong, or that all is gone."""
_FINAL = ("Succeeded", "Failed")


class Site:
    """A namespace of its own; pods in it must keep to the restricted Pod Security level."""

    def __init__(self, cluster: Cluster, folder: Path, what: str, with_store: bool = True) -> None:
        """``what`` names it; ``folder`` takes the operator's log."""
        self.cluster = cluster
        self.folder = folder
        self.namespace = f"{PREFIX}{what}-{secrets.token_hex(3)}"
        cluster.apply(
            {
                "apiVersion": "v1",
                "kind": "Namespace",
                "metadata": {"name": self.namespace, "labels": RESTRICTED},
            }
        )
        self.witness = Witness(cluster, self.namespace)
        self._operators: list[Operator] = []
        self._keeper = Keeper(cluster, self.namespace) if with_store else None

    # ---- its parts ----

    @property
    def keeper(self) -> Keeper:
        """Who reads and writes the store on the claim."""
        assert self._keeper is not None
        return self._keeper

    @property
    def operator(self) -> Operator:
        """The operator that serves it (the newest one, if there are several)."""
        return self._operators[-1]

    def serve(self, *options: str, also: tuple[str, ...] = (), elect: bool = False) -> Operator:
        """Start an operator for this namespace (and ``also``) whose default store is the claim.

        ``elect`` lets a Lease decide; without it a killed operator works again as soon as it is started.
        """
        store = ("--store-claim", CLAIM) if self._keeper else ()
        leadership = "--leader-elect" if elect else "--no-leader-elect"
        number = len(self._operators) + 1
        operator = Operator(
            *(self.cluster.kubeconfig, [self.namespace, *also], self.folder / f"operator-{number}.log"),
            *store,
            leadership,
            *options,
        )
        self._operators.append(operator)
        operator.start()
        return operator

    def stop(self) -> None:
        """Stop its operators; ``serve`` starts another one."""
        for operator in self._operators:
            if operator.is_running():
                operator.stop()

    def close(self) -> None:
        """Stop its operators and delete the namespace; what is left goes by itself."""
        self.witness.close()
        self.stop()
        # first the Jobs: a namespace deletes its pods before them, and a pod that failed meanwhile is held
        # until its Job has made the next one, which it cannot in a namespace that goes (Kubernetes 1.34)
        self.cluster.kubectl(
            "delete", "pj,jobs", "--all", "-n", self.namespace, "--ignore-not-found", "--wait=false"
        )
        self.cluster.kubectl("delete", "namespace", self.namespace, "--wait=false", "--ignore-not-found")

    # ---- what a user does ----

    def apply(self, document: dict[str, Any]) -> str:
        """Apply a PruningJob here; returns its name."""
        name: str = document["metadata"]["name"]
        self.cluster.apply({**document, "metadata": {**document["metadata"], "namespace": self.namespace}})
        return name

    def patch(self, name: str, spec: dict[str, Any]) -> None:
        """Change some fields of a PruningJob's spec."""
        text = json.dumps({"spec": spec})
        self.cluster.kubectl("patch", "pj", name, "-n", self.namespace, "--type=merge", "-p", text)

    def delete(self, kind: str, name: str, *words: str) -> None:
        """Delete an object, without waiting."""
        self.cluster.kubectl("delete", kind, name, "-n", self.namespace, "--wait=false", *words)

    def fetch(self, name: str, to: Path) -> dict[str, str]:
        """Bring a PruningJob's results here; returns the SHA-256 of each file."""
        words = ("fetch", name, "--cluster", "-n", self.namespace, "--to", str(to))
        command = [sys.executable, "-m", "secateur_operator.cli", *words]
        env = {**os.environ, "KUBECONFIG": str(self.cluster.kubeconfig)}
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120, check=False)
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
        files = [Path(line) for line in done.stdout.splitlines()]
        return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}

    # ---- what a user sees ----

    def status(self, name: str) -> dict[str, Any]:
        """Return a PruningJob's status, empty if it has none."""
        found = self.cluster.get("pj", name, self.namespace)
        return {} if found is None else found.get("status", {})

    def reason(self, name: str, condition: str = "Reconciling") -> str | None:
        """Return why a condition is as it is."""
        conditions = self.status(name).get("conditions", [])
        return next((one["reason"] for one in conditions if one["type"] == condition), None)

    def pods(self, name: str | None = None) -> list[dict[str, Any]]:
        """Return the stage pods (of one PruningJob)."""
        chosen = "app.kubernetes.io/managed-by=secateur" + (f",secateur.dev/job={name}" if name else "")
        return self.cluster.list("pods", self.namespace, "-l", chosen)

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return the events about a PruningJob."""
        about = f"regarding.kind=PruningJob,regarding.name={name}"
        return self.cluster.list("events.events.k8s.io", self.namespace, "--field-selector", about)

    def wait_end(self, name: str, phase: str, seconds: float = 900) -> dict[str, Any]:
        """Wait for a PruningJob's end and return its status; fails at once if it ends in another phase."""

        def ended() -> dict[str, Any] | None:
            status = self.status(name)
            return status if status.get("phase") in _FINAL else None

        status = wait_until(f"{name} ends", ended, seconds, lambda: self.status(name).get("message"))
        assert status["phase"] == phase, f"{name} {status['phase']}: {status['message']}"
        return status

    def wait_done(self, name: str, stage: str, seconds: float = 600) -> None:
        """Wait until a PruningJob has finished a stage."""

        def done() -> bool:
            return any(one["name"] == stage for one in self.status(name).get("stages", []))

        wait_until(f"{stage} of {name} is done", done, seconds, lambda: self.status(name).get("message"))

    def wait_reason(self, name: str, reason: str, seconds: float = MARGIN_SECONDS) -> str:
        """Wait until a PruningJob says why it waits, and return its message."""
        wait_until(
            f"{name} says {reason}",
            lambda: self.reason(name) == reason,
            seconds,
            lambda: self.status(name).get("message"),
        )
        message: str = self.status(name)["message"]
        return message

    def wait_stage(self, name: str, stage: str, number: int | None = None, seconds: float = 600) -> str:
        """Wait until a pod of a stage (of a round) runs; returns the pod's name."""
        selector = f"secateur.dev/job={name},secateur.dev/stage={stage}"
        selector += f",secateur.dev/round={number}" if number else ""

        def running() -> str | None:
            pods = self.cluster.list("pods", self.namespace, "-l", selector)
            return next((p["metadata"]["name"] for p in pods if p["status"]["phase"] == "Running"), None)

        return wait_until(f"{stage} runs", running, seconds, lambda: self.status(name).get("message"))

    def wait_nothing_runs(self, name: str, seconds: float = MARGIN_SECONDS) -> None:
        """Wait until no pod of a PruningJob is under way."""

        def running() -> list[str]:
            return [
                pod["metadata"]["name"]
                for pod in self.pods(name)
                if pod["status"]["phase"] in ("Pending", "Running")
            ]

        wait_until(f"nothing of {name} runs", lambda: not running(), seconds, running)

    def wait_nothing(self, name: str, seconds: float = MARGIN_SECONDS) -> None:
        """Wait until no Job and no pod of a PruningJob is left."""

        def left() -> list[str]:
            jobs = self.cluster.list("jobs", self.namespace, "-l", f"secateur.dev/job={name}")
            return [one["metadata"]["name"] for one in [*jobs, *self.pods(name)]]

        wait_until(f"no Job and no pod of {name} is left", lambda: not left(), seconds, left)

    def describe(self) -> str:
        """Tell everything that helps to understand a failure."""
        parts = []
        for words in (
            ("get", "pj,jobs,pods,pvc", "-o", "wide"),
            ("get", "pj", "-o", "yaml"),
            ("get", "events.events.k8s.io", "--sort-by=.metadata.creationTimestamp"),
            ("describe", "pods", "-l", "app.kubernetes.io/managed-by=secateur"),
            ("logs", "-l", "app.kubernetes.io/managed-by=secateur", "--tail=15", "--prefix"),
        ):
            try:
                parts.append(
                    f"$ kubectl {' '.join(words)}\n{self.cluster.kubectl(*words, '-n', self.namespace)}"
                )
            except Refused as error:
                parts.append(str(error))
        parts += [f"$ tail {one.log.name}\n{one.tail()}" for one in self._operators]
        return "\n\n".join(parts)

    def unexpected(self) -> list[str]:
        """Return what its operators' logs should not hold."""
        return [line for one in self._operators for line in one.unexpected()]
