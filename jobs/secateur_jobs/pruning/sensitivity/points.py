"""Which sensitivity points a job needs, which of them one shard takes, and where they are kept."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Mapping, Sequence
from typing import Any

from secateur_api.results import Group
from secateur_api.spec import PruningJobSpec, SensitivityMode

_EACH = 0.02  # of a whole forward pass: what a point takes however short its part of the net is


def points_of(groups: Sequence[Group], ratios: Sequence[float]) -> list[tuple[str, float]]:
    """Return (group, ratio) for every point that allocation can use.

    That is each ratio up to the group's cap, and the next one, so that the curve reaches the cap.
    """
    points = []
    for group in groups:
        for ratio in sorted(set(ratios)):
            points.append((group.name, ratio))
            if ratio >= group.cap:
                break
    return points


def shares_to_run(consumers: Mapping[str, Sequence[str]], layers: Mapping[str, float]) -> dict[str, float]:
    """Return for each group how much of a forward pass one of its points has to run, 0..1.

    ``layers`` are the layers' costs in the order in which they run; a group's points run from its first
    consumer on.
    """
    order = list(layers)
    total = sum(layers.values()) or 1.0
    shares = {}
    for group, names in consumers.items():
        found = [order.index(name) for name in names if name in layers]
        rest = order[min(found) :] if found else order
        shares[group] = sum(layers[name] for name in rest) / total
    return shares


def shard_of(
    points: Sequence[tuple[str, float]], shares: Mapping[str, float], shard: int, shards: int
) -> list[tuple[str, float]]:
    """Return the points of one of ``shards`` processes: a stretch of them, all of about the same work.

    Points of a group stay together but where a stretch ends: neighbours replay the same recordings.
    ``shares`` is the work of one point of each group.
    """
    ends = [0.0]
    for group, _ in points:
        ends.append(ends[-1] + _EACH + shares[group])
    middles = [(a + b) / 2 / ends[-1] for a, b in itertools.pairwise(ends)]
    return [point for point, at in zip(points, middles, strict=True) if int(at * shards) == shard]


def folder_of(
    spec: PruningJobSpec, checkpoint_sha256: str, engine: str, mode: SensitivityMode, comparisons: int
) -> str:
    """Return the folder of all points that are measured in the same way on the same weights.

    The name is a digest of everything that decides a point's value, the weights themselves included: a point
    of another model can never be taken for one of this. ``comparisons`` is the number of points whose
    intervals hold at once.
    """
    decides: dict[str, Any] = {
        "checkpoint": checkpoint_sha256,
        "engine": engine,
        "criterion": spec.pruning.criterion,
        "dataFraction": spec.sensitivity.data_fraction,
        "data": spec.data.to_wire(),
        "evaluation": spec.evaluation.to_wire(),
        "seed": spec.seed,
        "code": spec.code.sha256 if spec.code is not None else None,
        "image": spec.image,
    }
    if mode is not SensitivityMode.EXACT:
        decides["mode"] = mode.value
    if mode is SensitivityMode.BOUNDED:
        settings = spec.sensitivity
        decides["bounds"] = [settings.tolerance, settings.confidence, settings.cap, comparisons]
    text = json.dumps(decides, sort_keys=True, separators=(",", ":"))
    return f"points/{hashlib.sha256(text.encode()).hexdigest()[:20]}"
