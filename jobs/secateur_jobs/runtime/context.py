"""What a running stage works with: its request, the store, progress, and a scratch folder."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from secateur_api.base import Contract
from secateur_api.conditions import Reason
from secateur_api.results import PreflightOutcome
from secateur_api.sources import Sources
from secateur_api.stage import PROGRESS_PREFIX, FileRef, Progress, StageInput
from secateur_jobs.runtime.errors import Damaged, InvalidInput
from secateur_jobs.runtime.store import Store

_EVERY_SECONDS = 1.0


@dataclass
class StageContext:
    """One stage at work. ``files`` are committed with the result."""

    request: StageInput
    store: Store
    unit: str
    scratch: Path
    sources: Sources | None = None
    """The content that the unit is named by, in the stages that read it first."""
    splits: Any = None
    """The data sets that were read for it: ``user_code.Splits``."""
    code: Path | None = None
    """The folder of the user's code, once it is importable."""
    started: float = field(default_factory=time.monotonic)
    files: dict[str, FileRef] = field(default_factory=dict)
    _last_step: str = ""
    _last_time: float = 0.0

    def progress(self, percent: float, step: str, metric: float | None = None) -> None:
        """Say how far this process is (0..100); at most one line a second for the same step."""
        now = time.monotonic()
        phase = step.rsplit(" ", 1)[0]
        if phase == self._last_step and now - self._last_time < _EVERY_SECONDS and percent < 100:
            return
        self._last_step, self._last_time = phase, now
        percent = min(max(percent, 0.0), 100.0)
        spent = now - self.started
        eta = spent * (100 - percent) / percent if percent >= 2 else None
        line = Progress(percent=round(percent, 1), step=step, metric=metric, eta_seconds=eta, at=time.time())
        text = PROGRESS_PREFIX + line.model_dump_json(by_alias=True, exclude_none=True)
        with contextlib.suppress(OSError, ValueError):  # closed by user code, or nobody reads it any more
            print(text, flush=True)  # noqa: T201

    def put(self, name: str, filename: str, content: bytes) -> FileRef:
        """Store a file of this unit under a name; it counts once the result is committed."""
        ref = self.store.put(self.unit, filename, content)
        self.files[name] = ref
        return ref

    def put_json(self, name: str, value: Contract) -> FileRef:
        """Store a contract model as ``<name>.json`` of this unit."""
        return self.put(name, f"{name}.json", value.model_dump_json(by_alias=True, indent=1).encode())

    def read_sources(self) -> Sources:
        """Return the content that the unit is named by."""
        if self.sources is None:
            raise RuntimeError(f"{self.request.stage.value} was begun without its sources")
        return self.sources

    def upstream(self, name: str) -> str:
        """Return the unit of an upstream stage that this stage cannot do without."""
        unit: str | None = getattr(self.request.upstream, name)
        if unit is None:
            raise InvalidInput(Reason.INVALID_SPEC, f"stage {self.request.stage.value} needs upstream.{name}")
        return unit

    def preflight(self) -> PreflightOutcome:
        """Return what preflight found; raises Damaged if its unit has no result."""
        unit = self.upstream("preflight")
        result = self.store.result(unit)
        if result is None or result.summary.outcome.preflight is None:
            raise Damaged(unit, f"unit {unit} is no finished preflight")
        return result.summary.outcome.preflight
