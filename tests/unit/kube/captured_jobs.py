"""Situations as a real cluster gave them (see ``captured/README.md``)."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

from secateur_operator.domain.times import moment_of
from secateur_operator.gateway.kube.trouble import Sight

FOLDER = Path(__file__).parent / "captured"


def situation(name: str) -> dict[str, Any]:
    """Return one situation: ``job``, ``pods``, ``events``."""
    found: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text())
    return found


def sight(name: str, age: float = 120.0, with_events: bool = True) -> Sight:
    """Return a situation as it is looked at some seconds after the Job was made."""
    found = situation(name)
    now = moment_of(found["job"]["metadata"]["creationTimestamp"]) + timedelta(seconds=age)
    return Sight(found["job"], found["pods"], found["events"] if with_events else (), now)
