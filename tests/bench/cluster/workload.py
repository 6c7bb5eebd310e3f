"""A PruningJob of eight stages, and what each of them says when it is done.

The stages of these benchmarks do no work: what is measured is the operator. Their termination messages are
those of a job that goes well (tests.outcomes), the same for every PruningJob.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from secateur_api import PruningJobSpec, Stage, StageInput
from secateur_api.stage import RoundRequest
from tests import outcomes

STORE = "s3://bench/store"
"""Nobody reads or writes it."""


class Step(NamedTuple):
    """One stage of the job; ``round`` is set for a round."""

    stage: Stage
    round: int | None = None

    def __str__(self) -> str:
        return self.stage.value if self.round is None else f"{self.stage.value}-{self.round}"


_SHARES = (0.4, 0.8, 1.0)
"""What rounds of 20 % reach of a target of 50 %."""
STEPS = (
    Step(Stage.PREFLIGHT),
    Step(Stage.SENSITIVITY),
    *(Step(Stage.ROUND, number) for number in range(1, len(_SHARES) + 1)),
    Step(Stage.CONVERT),
    Step(Stage.BENCHMARK),
    Step(Stage.REPORT),
)
"""The stages in the order in which the operator runs them."""


def document(namespace: str, name: str, **spec: Any) -> dict[str, Any]:
    """Return the PruningJob; ``spec`` adds or replaces top-level fields of its spec."""
    base: dict[str, Any] = {
        "model": {
            "factory": "bench.nets:digits",
            "weights": {"uri": "s3://bench/weights.npz"},
            "inputs": [{"name": "image", "shape": [1, 1, 28, 28]}],
        },
        "data": {"factory": "bench.data:splits"},
        "pruning": {"target": {"macs": "50%"}, "schedule": {"rounds": len(_SHARES), "step": 0.2}},
        "convert": [{"format": "paddle-lite", "backend": "x86"}],
        "image": "bench",
        "store": {"uri": STORE},
    }
    return {
        "apiVersion": "secateur.dev/v1alpha1",
        "kind": "PruningJob",
        "metadata": {"namespace": namespace, "name": name},
        "spec": base | spec,
    }


def messages() -> dict[Step, str]:
    """Return each step's termination message."""
    spec = PruningJobSpec.model_validate(document("bench", "bench")["spec"])
    return {step: _message(spec, step) for step in STEPS}


def _message(spec: PruningJobSpec, step: Step) -> str:
    wanted = None if step.round is None else RoundRequest(number=step.round, share=_SHARES[step.round - 1])
    request = StageInput(job="bench", stage=step.stage, spec=spec, store=STORE, round=wanted)
    return outcomes.summary(request).model_dump_json(by_alias=True, exclude_none=True)
