"""The pydantic base of every contract model, and cross-field rules that serve Python and the CRD alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

GROUP = "secateur.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
KIND = "PruningJob"
RUN_ANNOTATION = f"{GROUP}/run"
"""Set to a number above ``status.run`` to start a job again."""


@dataclass(frozen=True)
class Rule:
    """One cross-field rule, said twice in one place: for the API server (CEL) and for Python.

    ``cel`` goes into ``x-kubernetes-validations``; ``holds`` is evaluated on the parsed model by
    ``secateur validate`` and ``secateur run``; ``message`` is what both answer.
    """

    cel: str
    message: str
    holds: Callable[[Any], bool]


class Contract(BaseModel):
    """camelCase on the wire, snake_case in Python; unknown fields are refused; values are immutable."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="forbid",
        frozen=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
        defer_build=True,
        protected_namespaces=(),
    )
    rules: ClassVar[tuple[Rule, ...]] = ()

    @model_validator(mode="after")
    def _apply_rules(self) -> Contract:
        for rule in type(self).rules:
            if not rule.holds(self):
                raise PydanticCustomError("rule", "{rule}", {"rule": rule.message})
        return self

    def to_wire(self) -> dict[str, Any]:
        """Return the JSON-ready dict: camelCase, without unset optional (None) fields."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)
