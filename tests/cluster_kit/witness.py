"""Who sees every Job and pod of a namespace come and go, from watches."""

from __future__ import annotations

import codecs
import json
import subprocess
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

from tests.cluster_kit.cluster import Cluster

Heard = Callable[[str, dict[str, Any]], None]
_LABELS = ("stage", "run", "round", "attempt", "recall")


class Watch:
    """``kubectl get KIND --watch``: calls back with (ADDED | MODIFIED | DELETED, object) from a thread.

    A watch that breaks off is begun again, so that an object may be told twice.
    """

    def __init__(self, cluster: Cluster, namespace: str, kind: str, heard: Heard) -> None:
        self._command = cluster.command(
            *("get", kind, "-n", namespace, "--watch", "-o", "json", "--output-watch-events")
        )
        self._heard = heard
        self._closed = threading.Event()
        self._child = self._begin()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End it."""
        self._closed.set()
        self._child.terminate()
        self._thread.join()

    def _begin(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(self._command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)

    def _listen(self) -> None:
        while True:
            self._read(self._child)
            self._child.wait()
            if self._closed.wait(0.5):
                return
            self._child = self._begin()

    def _read(self, child: subprocess.Popen[bytes]) -> None:
        assert child.stdout is not None
        decoder, text = codecs.getincrementaldecoder("utf-8")(), ""
        while chunk := child.stdout.read1(65536):
            text += decoder.decode(chunk)
            while True:
                text = text.lstrip()
                try:
                    event, end = json.JSONDecoder().raw_decode(text)
                except ValueError:
                    break
                text = text[end:]
                self._heard(event["type"], event["object"])


class Witness:
    """Remembers every Job that ever was in a namespace."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self._jobs: dict[str, dict[str, Any]] = {}
        self._watch = Watch(cluster, namespace, "jobs.batch", self._see)

    def close(self) -> None:
        """Stop watching."""
        self._watch.close()

    def jobs(self, owner: str | None = None) -> list[dict[str, Any]]:
        """Return every Job ever seen (of one PruningJob), as it was last seen, oldest first."""
        found = list(self._jobs.values())
        if owner is not None:
            found = [one for one in found if one["metadata"]["labels"].get("secateur.dev/job") == owner]
        return sorted(found, key=lambda one: one["metadata"]["creationTimestamp"])

    def work(self, owner: str) -> Counter[tuple[str, ...]]:
        """Count the Jobs made for each (stage, run, round, attempt, recall)."""
        return Counter(_work_of(job) for job in self.jobs(owner))

    def twice(self, owner: str) -> list[tuple[str, ...]]:
        """Return the work that more than one Job was made for."""
        return [work for work, count in self.work(owner).items() if count > 1]

    def _see(self, _kind: str, job: dict[str, Any]) -> None:
        self._jobs[job["metadata"]["uid"]] = job


def _work_of(job: dict[str, Any]) -> tuple[str, ...]:
    labels = job["metadata"]["labels"]
    return tuple(labels.get(f"secateur.dev/{name}", "") for name in _LABELS)
