"""What the operator's settings give every Job."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PodDefaults:
    """Settings of the operator that go into Jobs and pods."""

    ttl_seconds: int = 86400
    """A finished Job is deleted after so many seconds; its result is in the store and in the status."""
    image_pull_policy: str | None = None
    """``Always``, ``IfNotPresent`` or ``Never``; None leaves it to Kubernetes (by the image's tag)."""
    image_pull_secrets: tuple[str, ...] = ()
    """Names of Secrets in the job's namespace."""
    fs_group: int | None = 65532
    """Group that may write to the store's volume; the group of Secateur's images. None: none is set."""
