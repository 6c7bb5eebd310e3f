"""The operator's process: servers, signals, exit codes."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import socket
from importlib.metadata import version
from typing import Any

from kubernetes.aio.config import ConfigException
from prometheus_client import CollectorRegistry, start_http_server

from secateur_operator.cluster import logging as log_lines
from secateur_operator.cluster.assembly import operator
from secateur_operator.cluster.leadership import LeadershipLost
from secateur_operator.cluster.operator import Operator, Probes, WatchEnded
from secateur_operator.cluster.settings import Settings, SettingsError

log = logging.getLogger(__name__)

EXIT_RESTART = 1
"""The lease or a watch was lost; the process must start anew."""


def run(settings: Settings) -> int:
    """Run the operator until a signal, or until it must start anew; return the exit code.

    Raises SettingsError.
    """
    log_lines.configure(settings.log_format, settings.verbose)
    _spare_the_collector()
    return asyncio.run(_run(settings))


def _spare_the_collector() -> None:
    """Look for garbage less often: decoding a page of a listing makes 100,000 objects and no cycle.

    It takes a third off the CPU time of the first listing; what was imported is never looked at again.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 10, 10)


async def _run(settings: Settings) -> int:
    stop = asyncio.Event()

    def take_signals() -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)

    take_signals()
    asyncio.get_running_loop().set_exception_handler(_on_loop_error)
    _say_settings(settings)
    registry = CollectorRegistry()
    try:
        found, client = await operator(settings, registry, take_signals)
    except ConfigException as error:
        raise SettingsError(f"no API server: {error}; set KUBECONFIG, or run in a pod") from None
    try:
        return await _serve(settings, registry, found, stop)
    finally:
        await client.close()


async def _serve(
    settings: Settings, registry: CollectorRegistry, found: Operator, stop: asyncio.Event
) -> int:
    probes = Probes(settings.health_port, found.live, found.ready)
    try:
        await probes.start()
        # in a thread of its own: a scrape of thousands of series does not hold up the loop
        server, _ = start_http_server(settings.metrics_port, _any_address(), registry)
    except OSError as error:
        ports = f"{settings.health_port} (health), {settings.metrics_port} (metrics)"
        raise SettingsError(f"cannot listen on one of the ports {ports}: {error}") from None
    code = 0
    try:
        await found.run(stop)
    except ExceptionGroup as group:
        losses, defects = group.split((LeadershipLost, WatchEnded))
        if defects is not None:
            raise
        code = EXIT_RESTART
        for loss in losses.exceptions if losses else ():
            log.error("%s; this process ends; start it again", loss)
    finally:
        await probes.stop()
        await asyncio.to_thread(server.shutdown)
    if code == 0:
        log.info("stopped")
    return code


def _on_loop_error(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log what no task handles; but a watch of Kopf's that is closed half-way at the end is no news."""
    if "closing of asynchronous generator" in context["message"]:
        log.debug("%s: %r", context["message"], context.get("exception"))
    else:
        loop.default_exception_handler(context)


def _say_settings(settings: Settings) -> None:
    log.info(
        "secateur %s: namespaces %s, default store %s, default image %s, %d workers, lease %s",
        version("secateur"),
        ", ".join(settings.namespaces) or "all",
        settings.store.public_uri if settings.store else "none",
        settings.image or "none",
        settings.workers,
        f"{settings.where_lease_is}/{settings.lease_name}" if settings.leader_elect else "none",
    )


def _any_address() -> str:
    return "::" if socket.has_dualstack_ipv6() else "0.0.0.0"
