"""Which sensitivity points a job needs, and where they are kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from secateur_api.results import Group, Held
from secateur_api.sources import Sources
from secateur_api.spec import PruningJobSpec, SensitivityMode
from secateur_api.stage import digest_of


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


def folder_of(
    spec: PruningJobSpec,
    checkpoint_sha256: str,
    sources: Sources,
    engine: str,
    mode: SensitivityMode,
    comparisons: int,
    held: Held | None,
) -> str:
    """Return the folder of all points that are measured in the same way on the same weights.

    The name is a digest of everything that decides a point's value, weights and data themselves included: a
    point of another model can never be taken for one of this. ``comparisons`` is the number of points whose
    intervals hold at once.
    """
    decides: dict[str, Any] = {
        "checkpoint": checkpoint_sha256,
        "engine": engine,
        "criterion": spec.pruning.criterion,
        "held": held.samples if held is not None else None,
        "dataFraction": spec.sensitivity.data_fraction,
        "data": spec.data.decides(),
        "sources": sources.to_wire(),
        "evaluation": spec.evaluation.to_wire(),
        "seed": spec.seed,
        "code": spec.code.sha256 if spec.code is not None else None,
        "image": spec.image,
    }
    if spec.fresh is not None:
        decides["fresh"] = spec.fresh
    if mode is not SensitivityMode.EXACT:
        decides["mode"] = mode.value
    if mode is SensitivityMode.BOUNDED:
        settings = spec.sensitivity
        decides["bounds"] = [settings.tolerance, settings.confidence, settings.cap, comparisons]
    return f"points/{digest_of(decides)}"
