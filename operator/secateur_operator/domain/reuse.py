"""Results of earlier runs that a job takes over, and how it says so."""

from __future__ import annotations

from secateur_api import PruningJobStatus, Stage
from secateur_api.quantity import show_moment
from secateur_api.status import FinishedStage

_WITHOUT_NUMBERS = (Stage.REPORT,)


def of_stage(done: FinishedStage) -> str:
    """Return ``measured on <date>, reused`` for a stage whose result was there; empty for any other."""
    if not done.reused:
        return ""
    return f"measured on {show_moment(done.measured_at)}, reused" if done.measured_at else "reused"


def of_job(status: PruningJobStatus) -> str:
    """Say which stages' numbers are of an earlier run, and from when; empty where none is."""
    reused = [done for done in status.stages if done.reused and done.name not in _WITHOUT_NUMBERS]
    if not reused:
        return ""
    names = ", ".join(dict.fromkeys(done.name.value for done in reused))
    moments = sorted(show_moment(done.measured_at) for done in reused if done.measured_at)
    when = f"measured on {' to '.join(dict.fromkeys((moments[0], moments[-1])))}, " if moments else ""
    return f"{names}: {when}reused"
