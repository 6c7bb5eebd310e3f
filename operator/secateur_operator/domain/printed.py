"""What ``kubectl get`` shows of a job: text, rounded, since a column prints a number with all its digits."""

from __future__ import annotations

from secateur_api import PruningJobStatus
from secateur_api.status import Printed, RoundStatus
from secateur_operator.domain import rounds


def with_printed(status: PruningJobStatus) -> PruningJobStatus:
    """Return the status with its printed summary in line with the rest."""
    chosen = rounds.candidate(status.rounds)
    numbers = chosen.outcome.numbers if chosen else status.preflight.baseline if status.preflight else None
    return status.model_copy(
        update={
            "printed": Printed(
                progress=f"{status.percent:.0f}%",
                round=_round(status),
                metric=f"{numbers.metric:.4f}" if numbers else None,
                drop=_drop(status, chosen),
                macs_cut=f"{100 * chosen.outcome.cut_macs:.1f}%" if chosen else None,
                speedup=_speedup(status),
            )
        }
    )


def _round(status: PruningJobStatus) -> int | None:
    if status.stage is not None and status.stage.round is not None:
        return status.stage.round.number
    return len(status.rounds) or None


def _drop(status: PruningJobStatus, chosen: RoundStatus | None) -> str | None:
    if chosen is None:
        return None
    return f"{100 * max((one.drop for one in status.benchmarks), default=chosen.outcome.drop):.2f}%"


def _speedup(status: PruningJobStatus) -> str | None:
    slowest = min((one.speedup for one in status.benchmarks), default=None)
    return None if slowest is None else f"{slowest:.2f}x"
