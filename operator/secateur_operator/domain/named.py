"""What PruningJobs name in a store: by this the data plane knows what must stay."""

from __future__ import annotations

from collections.abc import Iterable

from secateur_api import PruningJobStatus
from secateur_operator.domain.times import moment_of


def units_of(status: PruningJobStatus) -> set[str]:
    """Return the units that a status names; those of its artifacts are among them."""
    staged = {unit for done in status.stages for unit in done.units}
    return staged | {done.unit for done in status.rounds}


def safe_before(statuses: Iterable[PruningJobStatus], now: float, older_than: float) -> float:
    """Return the moment (seconds since 1970) up to which files may go.

    A running stage's unit is named only once it is done; but it writes nothing from before it began.
    """
    begun = [
        moment_of(status.stage.started_at).timestamp() for status in statuses if status.stage is not None
    ]
    return min([now - older_than, *begun])
