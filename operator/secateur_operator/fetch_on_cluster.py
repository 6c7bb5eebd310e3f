"""``secateur fetch --cluster``: a PruningJob's results, from the store that it uses into a folder here."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from kubernetes.aio.config import ConfigException, list_kube_config_contexts

from secateur_api import InvalidResource, PruningJob, parse_job
from secateur_operator.domain import named
from secateur_operator.gateway.kube.client import KubeClient
from secateur_operator.gateway.kube.manifests.pod import PodDefaults
from secateur_operator.gateway.kube.names import PRUNING_JOBS
from secateur_operator.gateway.kube.reading import open_reader
from secateur_operator.gateway.protocol import NotFound, StoreError
from secateur_operator.gateway.results import ResultsError, checked, new_folder, results_of
from secateur_operator.store_on_cluster import connect


async def fetch_results(
    name: str | None,
    namespace: str | None,
    to: Path,
    pull_secrets: tuple[str, ...],
    say: Callable[[str], None],
) -> tuple[PruningJob, list[Path]]:
    """Copy a job's results into the new folder ``to``; return the job, and the files' paths there.

    Raises StoreError, GatewayError, ResultsError.
    """
    client = await connect()
    try:
        job = await _job(client, namespace or _current_namespace(), name)
        where = f"{job.metadata.name} -n {job.metadata.namespace}"
        results = results_of(job, f"kubectl get pj {where} -w shows its progress")
        shelf = named.shelf_of(job)
        if shelf is None or shelf.image is None:
            raise StoreError(f"{where} has results, but its status names no store or no image")
        paths = [_path(shelf, artifact.uri) for artifact in results.values()]
        again = f"kubectl annotate pj {where} secateur.dev/run=2 --overwrite makes again what is damaged"
        defaults = PodDefaults(image_pull_secrets=pull_secrets)
        with new_folder(to) as folder:
            async with open_reader(client, shelf, paths, shelf.image, defaults, say) as reader:
                for filename, artifact in results.items():
                    with checked(artifact, folder / filename, artifact.uri, again) as write:
                        async for block in reader.file():
                            write(block)
        return job, [to / filename for filename in results]
    finally:
        await client.close()


async def _job(client: KubeClient, namespace: str, name: str | None) -> PruningJob:
    """Read the job that is meant: the namespace's only one, where none is named."""
    if name is None:
        names = [one["metadata"]["name"] async for one in client.items(PRUNING_JOBS, namespace)]
        if len(names) != 1:
            said = f"it has {', '.join(names)}" if names else "it has none"
            raise StoreError(f"say which job of namespace {namespace}: {said}; -n names another namespace")
        (name,) = names
    try:
        document = await client.get(PRUNING_JOBS, namespace, name)
        return parse_job(document)
    except NotFound as error:
        raise StoreError(f"{error}; -n names another namespace") from None
    except InvalidResource as error:
        raise StoreError(f"PruningJob {namespace}/{name} cannot be read: {error}") from None


def _current_namespace() -> str:
    """Return the namespace that kubectl takes where none is named."""
    try:
        _, active = list_kube_config_contexts(  # type: ignore[no-untyped-call]
            os.environ.get("KUBECONFIG")
        )
    except ConfigException:
        raise StoreError("say which namespace with -n: there is no kubeconfig that has one") from None
    return str(active["context"].get("namespace") or "default")


def _path(shelf: named.Shelf, uri: str) -> str:
    """Return where a file is in the store."""
    root = shelf.store.public_uri.rstrip("/") + "/"
    if not uri.startswith(root):
        raise ResultsError(f"{uri} is not in the store that the spec names now, {shelf.store.public_uri}")
    return uri.removeprefix(root)
