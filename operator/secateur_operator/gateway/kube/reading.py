"""Files of a store, brought from a cluster through a pod that has the store's claim, or its credentials.

The pod waits, and the data plane's ``store`` command in it sends the files. The pod ends when this process
has all of them or is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime

from secateur_api.conditions import Reason
from secateur_api.storekeeping import LENGTH_BYTES, LINE_PREFIX, StoreRequest
from secateur_operator.domain.named import Shelf
from secateur_operator.domain.observed import Trouble
from secateur_operator.gateway.kube import trouble
from secateur_operator.gateway.kube.client import KubeClient, Object
from secateur_operator.gateway.kube.execution import Output, execute
from secateur_operator.gateway.kube.manifests.pod import PodDefaults
from secateur_operator.gateway.kube.names import EVENTS, JOBS, POD_JOB, PODS, STAGE_CONTAINER
from secateur_operator.gateway.kube.observe import condition
from secateur_operator.gateway.kube.storekeeping import job_manifest, store_command
from secateur_operator.gateway.protocol import GatewayError, NotFound, Refused, StoreError, answers

_START_SECONDS = 300.0
_LOOK_SECONDS = 1.0
_HOPELESS = (Reason.IMAGE_UNAVAILABLE, Reason.SECRET_MISSING, Reason.VOLUME_MISSING, Reason.POD_REFUSED)
"""What no waiting helps against."""
_REMEDIES = {Reason.IMAGE_UNAVAILABLE: "; --image-pull-secret names one for this pod"}
_WAIT = ("sh", "-c", "trap 'exit 0' TERM; sleep 3600 & wait")
_WATCH = "exec 3<&0; (cat <&3; kill 1) >/dev/null 2>&1 &"
"""Ends the pod with standard input, which a shell takes from what runs in its background: hence the 3."""
_UNTIL_STDIN_ENDS = ("sh", "-c", f'{_WATCH} exec "$@" </dev/null 3<&-', "sh")
Say = Callable[[str], None]


class Reader:
    """The files that were asked for, one after the other."""

    def __init__(self, output: Output, heard: Sequence[str]) -> None:
        """``heard`` grows by each answer of the command."""
        self._output = output
        self._heard = heard

    async def file(self) -> AsyncIterator[bytes]:
        """Yield the next file's content piece by piece; raises StoreError, GatewayError."""
        while length := int.from_bytes(await self._exactly(LENGTH_BYTES), "big"):
            while length:
                piece = await self._some(length)
                length -= len(piece)
                yield piece

    async def _exactly(self, count: int) -> bytes:
        found = b""
        while len(found) < count:
            found += await self._some(count - len(found))
        return found

    async def _some(self, most: int) -> bytes:
        if piece := await self._output.read(most):
            return piece
        ended = f"the pod stopped before it had sent all: {self._output.failure}"
        answers(self._heard, ended)
        raise StoreError(ended)


@contextlib.asynccontextmanager
async def open_reader(
    client: KubeClient, shelf: Shelf, paths: Sequence[str], image: str, defaults: PodDefaults, say: Say
) -> AsyncIterator[Reader]:
    """Let a pod read files of a store; it is gone after the block. Raises StoreError, GatewayError.

    ``say`` is told what it waits for.
    """
    heard: list[str] = []

    def hear(line: str) -> None:
        (heard.append if line.startswith(LINE_PREFIX) else say)(line)

    request = StoreRequest(action="read", store=shelf.store.stage_uri, units=list(paths))
    manifest = job_manifest(shelf, request, image, defaults, _WAIT)
    job = await client.create(JOBS, shelf.namespace, manifest)
    try:
        pod = await _running(client, job, say)
        command = [*_UNTIL_STDIN_ENDS, *store_command(request)]
        async with execute(client, shelf.namespace, pod, command, hear) as output:
            yield Reader(output, heard)
    finally:
        await _delete(client, job, say)


async def _running(client: KubeClient, job: Object, say: Say) -> str:
    """Wait for the Job's pod and return its name. Raises StoreError if it cannot start."""
    namespace, name = job["metadata"]["namespace"], job["metadata"]["name"]
    deadline, said = time.monotonic() + _START_SECONDS, "nothing says why"
    while time.monotonic() < deadline:
        job = await client.get(JOBS, namespace, name)
        pods = [pod async for pod in client.items(PODS, namespace, labels=f"{POD_JOB}={name}")]
        for pod in pods:
            if _runs(pod):
                return str(pod["metadata"]["name"])
        found = await _trouble(client, job, pods)
        if found is not None and found.reason in _HOPELESS:
            raise StoreError(found.message + _REMEDIES.get(found.reason, ""))
        over = condition(job, "Failed")
        if over is not None:
            raise StoreError(f"Job {name}: {over['message']}")
        if found is not None and found.message != said:
            said = found.message
            say(f"waiting: {said}")
        await asyncio.sleep(_LOOK_SECONDS)
    raise StoreError(f"Job {name} has no running pod after {_START_SECONDS:.0f} s; {said}")


def _runs(pod: Object) -> bool:
    """Whether the container that is to read runs; others may, beside it."""
    statuses = (pod.get("status") or {}).get("containerStatuses") or []
    return any(one["name"] == STAGE_CONTAINER and "running" in (one.get("state") or {}) for one in statuses)


async def _trouble(client: KubeClient, job: Object, pods: Sequence[Object]) -> Trouble | None:
    """Return what keeps the pod from running."""
    sight = trouble.Sight(job, pods, (), datetime.now(UTC))
    events: list[Object] = []
    with contextlib.suppress(Refused):  # who may not read events is told less
        for one in trouble.unexplained(sight):
            about = f"involvedObject.uid={one['metadata']['uid']}"
            events += [
                event async for event in client.items(EVENTS, job["metadata"]["namespace"], fields=about)
            ]
    return trouble.find(trouble.Sight(job, pods, events, sight.now))


async def _delete(client: KubeClient, job: Object, say: Say) -> None:
    namespace, name, uid = (job["metadata"][key] for key in ("namespace", "name", "uid"))
    try:
        await client.delete(JOBS, namespace, name, uid)
    except NotFound:
        pass
    except GatewayError as error:  # what was read is none the worse for it
        say(f"{error}; it ends by itself")
