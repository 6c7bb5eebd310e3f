"""What a log line is about, in fields: for logs that a machine reads."""

from __future__ import annotations

from secateur_operator.gateway.protocol import Key

FIELD = "reference"
"""The attribute of a log record that holds it."""


def reference(key: Key, **about: str | int | None) -> dict[str, dict[str, str | int]]:
    """Return ``extra`` for a log call: namespace, name, and what of ``about`` is known (uid, run, stage)."""
    known = {name: value for name, value in about.items() if value is not None}
    return {FIELD: {"namespace": key.namespace, "name": key.name, **known}}
