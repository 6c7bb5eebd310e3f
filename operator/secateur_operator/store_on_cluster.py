"""Stores that the PruningJobs of a cluster use: which there are, and what must stay in each."""

from __future__ import annotations

import asyncio
import time

from kubernetes.aio.config import ConfigException

from secateur_api import PruningJob
from secateur_api.storekeeping import Action, Answer, StoreRequest
from secateur_operator.domain import named
from secateur_operator.domain.named import Shelf, Where
from secateur_operator.gateway.kube.client import KubeClient
from secateur_operator.gateway.kube.manifests.pod import PodDefaults
from secateur_operator.gateway.kube.storekeeping import ask_on, pruning_jobs
from secateur_operator.gateway.protocol import GatewayError, StoreError

_AT_A_TIME = 16
"""Stores that are asked together: one whose namespace has no room for a pod must not hold up the others."""


async def connect() -> KubeClient:
    """Connect to the cluster; raises StoreError where none is named."""
    try:
        return await KubeClient.connect()
    except ConfigException as error:
        raise StoreError(f"no API server: {error}; set KUBECONFIG, or run in a pod") from None


async def keep_shelves(
    action: Action, where: Where, older_than: float, dry_run: bool
) -> list[tuple[str, list[Answer] | StoreError]]:
    """Do it for each store; return its name with the answers, or why there are none.

    Raises StoreError, GatewayError where it cannot be known which stores there are.
    """
    client = await connect()
    try:
        jobs = [job for one in where.namespaces or (None,) async for job in pruning_jobs(client, one)]
        turns = asyncio.Semaphore(_AT_A_TIME)

        async def keep(shelf: Shelf) -> tuple[str, list[Answer] | StoreError]:
            title = f"{shelf.namespace}: {shelf.store.public_uri}"
            try:
                async with turns:
                    request = await _request(client, action, shelf, jobs, where, older_than, dry_run)
                    return title, await _ask(client, shelf, request, where)
            except (StoreError, GatewayError) as error:
                return title, StoreError(f"{title}: {error}")

        return list(await asyncio.gather(*(keep(shelf) for shelf in shelves(jobs, where.only))))
    finally:
        await client.close()


async def _ask(client: KubeClient, shelf: Shelf, request: StoreRequest, where: Where) -> list[Answer]:
    image = shelf.image or where.image
    if image is None:
        raise StoreError("no PruningJob there names an image; give --image")
    return await ask_on(client, shelf, request, image, PodDefaults(image_pull_secrets=where.pull_secrets))


def shelves(jobs: list[PruningJob], only: Shelf | None) -> list[Shelf]:
    """Return each store once, with an image where a job names one."""
    found: list[Shelf] = []
    for job in jobs:
        shelf = named.shelf_of(job)
        if shelf is None or any(named.is_same(shelf, other) for other in found):
            continue
        if only is None:
            found.append(shelf)
        elif named.is_same(shelf, only):
            return [Shelf(only.namespace, only.store, shelf.image)]
    return found if only is None else [only]


async def _request(
    client: KubeClient,
    action: Action,
    shelf: Shelf,
    jobs: list[PruningJob],
    where: Where,
    older_than: float,
    dry_run: bool,
) -> StoreRequest:
    if action != "gc":
        return StoreRequest(action=action, store=shelf.store.stage_uri)
    if shelf.store.uri is not None and where.namespaces:
        # jobs of any namespace may use the same bucket: it is known what they name, or nothing goes
        jobs = [job async for job in pruning_jobs(client, None)]
    there = ((job.status, named.shelf_of(job)) for job in jobs)
    here = [status for status, other in there if other is not None and named.is_same(shelf, other)]
    return StoreRequest(
        action=action,
        store=shelf.store.stage_uri,
        units=sorted(set().union(*(named.units_of(status) for status in here))),
        before=named.safe_before(here, time.time(), older_than),
        dry_run=dry_run,
    )
