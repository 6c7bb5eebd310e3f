"""What an operator asked of the API server, and how long work waited: its own counters, as tables."""

from __future__ import annotations

from tests.bench.cluster.metrics import Labels, Metrics
from tests.bench.cluster.report import table

REQUESTS = "secateur_api_requests_total"
WAIT = "secateur_queue_wait_seconds"
_READS = ("get", "list", "watch")
_APART = ("events", "leases")
"""Events are counted apart everywhere; the lease is renewed by the clock, not for a stage."""


def is_write(labels: Labels) -> bool:
    """Whether a request changed something for a stage."""
    return labels["verb"].lower() not in _READS and labels["resource"] not in _APART


def by_kind(added: Metrics, per: float, name: str) -> str:
    """Return a table of all requests, in all and per unit."""
    rows = [
        [verb, resource, code, f"{count:.0f}", f"{count / per:.2f}"]
        for (verb, resource, code), count in added.by(REQUESTS, "verb", "resource", "code").items()
    ]
    return table(["verb", "resource", "code", "requests", name], rows)


def waits(added: Metrics) -> str:
    """Return how long a key that was due waited for its pass: p50 / p90 / p99, each at most, in seconds."""
    return " / ".join(f"{added.quantile(WAIT, share):g}" for share in (0.5, 0.9, 0.99))
