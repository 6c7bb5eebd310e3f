"""The stages of a job."""

from __future__ import annotations

from enum import Enum


class Stage(str, Enum):
    """The stages, in the order in which a job runs them."""

    PRETRAIN = "pretrain"
    PREFLIGHT = "preflight"
    SENSITIVITY = "sensitivity"
    ROUND = "round"
    CONVERT = "convert"
    BENCHMARK = "benchmark"
    REPORT = "report"

    @property
    def is_joint(self) -> bool:
        """Whether its processes work on one unit together, and cannot go on without each other."""
        return self is Stage.ROUND
