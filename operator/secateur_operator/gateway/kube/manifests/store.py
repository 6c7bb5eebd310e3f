"""How a stage's pod reaches the artifact store: a mounted claim, or credentials for a URI."""

from __future__ import annotations

from typing import Any

from secateur_api.spec import Store
from secateur_api.spec.cluster import STORE_MOUNT

VOLUME = "store"


def store_volumes(store: Store) -> list[dict[str, Any]]:
    """Return the pod's volumes for the store."""
    if store.claim is None:
        return []
    return [{"name": VOLUME, "persistentVolumeClaim": {"claimName": store.claim}}]


def store_mounts(store: Store) -> list[dict[str, Any]]:
    """Return the container's mounts for the store."""
    return [] if store.claim is None else [{"name": VOLUME, "mountPath": STORE_MOUNT}]


def store_credentials(store: Store) -> list[dict[str, Any]]:
    """Return the container's environment sources for the store."""
    return [] if store.secret is None else [{"secretRef": {"name": store.secret}}]
