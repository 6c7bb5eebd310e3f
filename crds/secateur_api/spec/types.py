"""Types that several parts of the contract share."""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from secateur_api.quantity import DURATION, PERCENT


class Stage(str, Enum):
    """The stages, in the order in which a job runs them."""

    PRETRAIN = "pretrain"
    PREFLIGHT = "preflight"
    SENSITIVITY = "sensitivity"
    ROUND = "round"
    CONVERT = "convert"
    QUANTIZE = "quantize"
    BENCHMARK = "benchmark"
    REPORT = "report"

    @property
    def is_joint(self) -> bool:
        """Whether its processes work on one unit together, and cannot go on without each other."""
        return self is Stage.ROUND


# no \w: to the API server it is ASCII, to pydantic any letter of the world
CALLABLE = r"[A-Za-z_][A-Za-z0-9_.]*:[A-Za-z_][A-Za-z0-9_]*"
Factory = Annotated[str, StringConstraints(pattern=rf"^{CALLABLE}$", max_length=253)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Percent = Annotated[str, StringConstraints(pattern=PERCENT, max_length=16)]
Duration = Annotated[str, StringConstraints(pattern=DURATION, max_length=32)]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_.-]*$", max_length=63)]
Ratio = Annotated[float, Field(ge=0, lt=1)]
Patterns = Annotated[list[Annotated[str, Field(min_length=1, max_length=253)]], Field(max_length=64)]
Args = dict[str, Any]

BUILT_IN_CRITERIA = ("fisher", "taylor", "activation", "l1_norm", "random")
Criterion = Annotated[
    str,
    StringConstraints(pattern=rf"^({'|'.join(BUILT_IN_CRITERIA)}|{CALLABLE})$", max_length=253),
]
