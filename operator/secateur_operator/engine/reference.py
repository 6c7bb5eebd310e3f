"""What a log line is about, in fields: for logs that a machine reads."""

from __future__ import annotations

from secateur_api import PruningJob
from secateur_operator.gateway.protocol import Key

FIELD = "reference"
"""The attribute of a log record that holds it."""


def reference(key: Key, job: PruningJob | None = None, **more: str) -> dict[str, dict[str, str | int]]:
    """Return ``extra`` for a log call: namespace and name; uid, run and stage where the job was read."""
    fields: dict[str, str | int] = {"namespace": key.namespace, "name": key.name}
    if job is not None:
        fields |= {"uid": job.metadata.uid, "run": job.status.run}
        if job.status.stage is not None:
            fields["stage"] = job.status.stage.name.value
    return {FIELD: {**fields, **more}}
