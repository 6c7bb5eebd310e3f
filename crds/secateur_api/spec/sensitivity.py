"""How the loss of each group at each ratio is measured."""

from __future__ import annotations

from enum import Enum
from typing import Annotated

from pydantic import Field

from secateur_api.base import Contract
from secateur_api.spec.types import Sha256


class SensitivityMode(str, Enum):
    """How sensitivity is measured."""

    EXACT = "exact"
    BOUNDED = "bounded"
    FISHER = "fisher"


class SensitivityFile(Contract):
    """Curves that PaddleSlim measured already."""

    uri: Annotated[str, Field(min_length=1, max_length=2048)]
    """A path or fsspec URI of PaddleSlim's ``sen_file`` (a pickle; only names and numbers are admitted)."""
    sha256: Sha256 | None = None
    """Expected SHA-256 of the file, in hex; another one is refused."""


class Sensitivity(Contract):
    """How the loss of each group at each ratio is measured."""

    mode: SensitivityMode = SensitivityMode.EXACT
    """``exact``: the metric on every sample, for every group and ratio. ``bounded``: each point stops at the
    sample where its loss is surely above ``cap``, or surely not above and known to ``tolerance``; it needs a
    metric that is a mean over samples. ``fisher``: no evaluation at all, one backward pass estimates every
    point."""
    shards: Annotated[int, Field(ge=1, le=256)] = 1
    """Processes that share the points."""
    ratios: Annotated[list[Annotated[float, Field(gt=0, lt=1)]], Field(min_length=1, max_length=32)] = [
        0.1,
        0.2,
        0.3,
        0.4,
        0.5,
        0.6,
        0.7,
        0.8,
        0.9,
    ]
    """Share of a group's channels that is cut at each point."""
    data_fraction: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Share of the held-back training items that each point is measured on."""
    tolerance: Annotated[float, Field(gt=0, le=0.5)] = 0.01
    """Half the width of a point's interval, relative to the baseline's metric (``bounded``)."""
    confidence: Annotated[float, Field(ge=0.5, lt=1)] = 0.95
    """Probability that all intervals of a job hold at once (``bounded``)."""
    cap: Annotated[float, Field(gt=0, le=1)] = 0.1
    """A loss that is surely above this is not measured further (``bounded``)."""
    file: SensitivityFile | None = None
    """Take the curves from PaddleSlim's file of the same model; what it lacks is measured."""
