"""The criterion that the spec names, and the channels it keeps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module

import numpy as np

from secateur_api.conditions import Reason
from secateur_api.spec import BUILT_IN_CRITERIA
from secateur_jobs.explain import RAISED, raised
from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning.calibration import Calibration
from secateur_jobs.pruning.engine import ChannelGroup
from secateur_jobs.runtime.errors import InvalidInput
from secateur_jobs.user_code import load_callable

Criterion = Callable[[paddle.nn.Layer, ChannelGroup, Calibration], np.ndarray]
_FIELD = "spec.pruning.criterion"


def criterion_function(name: str) -> Criterion:
    """Return a built-in criterion, or the user's ``module:callable(net, group, calibration)``.

    The user's raises InvalidInput if it raises or does not return ``group.channels`` finite scores.
    """
    if name in BUILT_IN_CRITERIA:
        built_in: Criterion = import_module(f"secateur_jobs.pruning.criteria.{name}").score
        return built_in
    function = load_callable(name, _FIELD)

    def checked(net: paddle.nn.Layer, group: ChannelGroup, calibration: Calibration) -> np.ndarray:
        try:
            scores = np.asarray(function(net, group, calibration), np.float64)
        except RAISED as error:
            raise InvalidInput(
                Reason.FACTORY_FAILED, f"{_FIELD}: {name} raised {raised(error)} for {group.name}"
            ) from error
        if scores.shape != (group.channels,) or not np.isfinite(scores).all():
            raise InvalidInput(
                Reason.FACTORY_FAILED,
                f"{_FIELD}: {name} returned shape {list(scores.shape)} for {group.name}; expected "
                f"{group.channels} finite numbers, one per channel",
            )
        return scores

    return checked


def choose_channels(
    groups: list[ChannelGroup], widths: Mapping[str, int], criterion: Criterion, calibration: Calibration
) -> dict[str, np.ndarray]:
    """Return the masks that bring groups down to ``widths``; groups that keep their width are left out."""
    return {
        group.name: group.choose(criterion(calibration.net, group, calibration), widths[group.name])
        for group in groups
        if widths.get(group.name, group.channels) < group.channels
    }
