"""PruningJobs as files, with the API server's rules: versions, generations, preconditions."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

from secateur_api import InvalidResource, PruningJob, PruningJobStatus, parse_job
from secateur_api.base import RUN_ANNOTATION
from secateur_operator.domain.times import stamp
from secateur_operator.gateway.local.home import HomeError, HomeFolder, read_json, write_json
from secateur_operator.gateway.protocol import Conflict, NotFound, Resource


class Resources:
    """The PruningJobs of a home."""

    def __init__(self, home: HomeFolder) -> None:
        self._home = home

    def get(self, name: str) -> Resource:
        """Read one; raises NotFound, HomeError."""
        document = read_json(self._home.job(name) / "resource.json")
        if document is None:
            raise NotFound(f"PruningJob {name} is not there")
        return Resource(document, document["metadata"]["resourceVersion"])

    def job(self, name: str) -> PruningJob:
        """Read one; raises NotFound, and HomeError for one that another version wrote."""
        try:
            return parse_job(self.get(name).document)
        except InvalidResource as error:
            path = self._home.job(name)
            raise HomeError(
                f"{path} was written by another version ({error}); delete it to start anew"
            ) from None

    def apply(self, job: PruningJob) -> None:
        """Create it, or give it this spec; a spec that differs is a new generation. Raises OSError."""
        document = job.to_wire()
        document.pop("status", None)
        try:
            old = self.get(job.metadata.name).document
        except NotFound:
            meta = {"uid": str(uuid.uuid4()), "generation": 1, "creationTimestamp": stamp(datetime.now(UTC))}
            document["metadata"].update(meta, resourceVersion="1")
        else:
            if old["spec"] == document["spec"]:
                return
            document["metadata"] = {**old["metadata"], "generation": old["metadata"]["generation"] + 1}
            document["status"] = old.get("status", {})
            _bump(document)
        self._write(job.metadata.name, document)

    def ask_for_run(self, name: str, run: int) -> None:
        """Ask that a job that has ended starts again. Raises NotFound, OSError."""
        document = self.get(name).document
        document["metadata"].setdefault("annotations", {})[RUN_ANNOTATION] = str(run)
        _bump(document)
        self._write(name, document)

    def apply_status(self, name: str, status: PruningJobStatus, version: str) -> None:
        """Write the status if the version is still that; raises NotFound, Conflict, OSError."""
        resource = self.get(name)
        if resource.version != version:
            raise Conflict(f"PruningJob {name} is at version {resource.version}, not {version}")
        document = resource.document
        new = status.to_wire()
        if new == document.get("status"):
            return
        document["status"] = new
        _bump(document)
        self._write(name, document)

    def _write(self, name: str, document: dict[str, Any]) -> None:
        write_json(self._home.job(name) / "resource.json", document)


def _bump(document: dict[str, Any]) -> None:
    meta = document["metadata"]
    meta["resourceVersion"] = str(int(meta["resourceVersion"]) + 1)
