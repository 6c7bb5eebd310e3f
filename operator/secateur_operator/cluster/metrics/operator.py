"""Metrics of the operator's own work. No label has a value that users choose."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)

from secateur_operator.engine.loop import Result
from secateur_operator.engine.queue import Backlog

_WAITS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
_PASSES = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class OperatorMetrics:
    """Implements the loop's Observer and the client's Observe."""

    def __init__(self, registry: CollectorRegistry) -> None:
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)
        self._registry = registry
        self._reconcile = Histogram(
            "secateur_reconcile_seconds",
            "Passes of the reconciler, by how they ended.",
            ["result"],
            buckets=_PASSES,
            registry=registry,
        )
        for result in Result:
            self._reconcile.labels(result.value)
        self._wait = Histogram(
            "secateur_queue_wait_seconds",
            "From the moment that a PruningJob is due to the start of its pass.",
            buckets=_WAITS,
            registry=registry,
        )
        self._requests = Counter(
            "secateur_api_requests_total",
            "Requests to the Kubernetes API; code is the HTTP status, or error if there was no answer.",
            ["verb", "resource", "code"],
            registry=registry,
        )
        self._leader = Gauge("secateur_leader", "1 while this process leads.", registry=registry)
        build = Gauge(
            "secateur_build_info", "Always 1; the label is what counts.", ["version"], registry=registry
        )
        build.labels(version("secateur")).set(1)

    def watch_queue(self, backlog: Callable[[], Backlog]) -> None:
        """Read the queue at each scrape."""
        depth = Gauge("secateur_queue_depth", "PruningJobs that wait for a pass.", registry=self._registry)
        depth.set_function(lambda: backlog().depth)
        oldest = Gauge(
            "secateur_queue_oldest_seconds",
            "For how long the first of them has been due; 0 if none is.",
            registry=self._registry,
        )
        oldest.set_function(lambda: backlog().oldest_seconds)

    def watch_leadership(self, leads: Callable[[], bool]) -> None:
        """Read at each scrape whether this process leads."""
        self._leader.set_function(lambda: float(leads()))

    def waited(self, seconds: float) -> None:
        """A pass begins that was due so long ago."""
        self._wait.observe(seconds)

    def passed(self, result: Result, seconds: float) -> None:
        """A pass has ended."""
        self._reconcile.labels(result.value).observe(seconds)

    def requested(self, verb: str, resource: str, code: str, _seconds: float) -> None:
        """A request was answered, or not."""
        self._requests.labels(verb, resource, code).inc()
