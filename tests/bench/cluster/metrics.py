"""Prometheus text, read: counters, differences, quantiles of histograms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

Labels = dict[str, str]


@dataclass(frozen=True)
class Metrics:
    """All samples of one moment, or what was added between two."""

    samples: dict[tuple[str, frozenset[tuple[str, str]]], float]

    @classmethod
    def of(cls, text: str) -> Metrics:
        """Parse an exposition."""
        return cls(
            {
                (sample.name, frozenset(sample.labels.items())): float(sample.value)
                for family in text_string_to_metric_families(text)
                for sample in family.samples
            }
        )

    def since(self, before: Metrics) -> Metrics:
        """Return what was added since (of counters and histograms)."""
        return Metrics({key: value - before.samples.get(key, 0.0) for key, value in self.samples.items()})

    def total(self, name: str, where: Callable[[Labels], bool] = lambda _: True) -> float:
        """Add up the samples of that name whose labels fit."""
        named = ((dict(labels), value) for (found, labels), value in self.samples.items() if found == name)
        return sum(value for labels, value in named if where(labels))

    def by(self, name: str, *labels: str) -> dict[tuple[str, ...], float]:
        """Add up the samples of that name by some of their labels; what is zero is left out."""
        found: dict[tuple[str, ...], float] = {}
        for (sample, pairs), value in self.samples.items():
            if sample == name and value:
                group = tuple(dict(pairs).get(label, "") for label in labels)
                found[group] = found.get(group, 0.0) + value
        return dict(sorted(found.items()))

    def quantile(self, histogram: str, share: float) -> float:
        """Return the upper bound of the bucket that holds the quantile, in the histogram's unit.

        NaN for an empty histogram. No interpolation: the true value is at most this.
        """
        buckets = {float(le): count for (le,), count in self.by(f"{histogram}_bucket", "le").items()}
        count = buckets.get(float("inf"), 0.0)
        if not count:
            return float("nan")
        return min(bound for bound, below in buckets.items() if below >= share * count)
