"""What an answer of the API server means: the one place where errors are told apart."""

from __future__ import annotations

import json
from typing import Any

from secateur_operator.gateway.protocol import (
    AlreadyExists,
    Conflict,
    GatewayError,
    NotFound,
    Refused,
    Transient,
)

_LONGEST = 1024
"""Longest message that is taken over from an answer."""
_AGAIN = (401, 408, 410, 429)
"""Of 4xx, what may work later: a token being renewed, a time-out, an expired listing, too much load."""


def error_of(what: str, status: int, body: bytes, retry_after: str | None = None) -> GatewayError:
    """Classify an answer that is no success.

    ``what`` says what was asked for (``create Job a in namespace b``), ``body`` is the answer, a Status as
    JSON where the API server itself gave it.
    """
    answer = _status(body)
    reason, said = str(answer.get("reason", "")), str(answer.get("message") or body.decode(errors="replace"))
    message = f"cannot {what}: {said[:_LONGEST] or f'HTTP {status}'}"
    if status == 404 or _namespace_ends(answer):
        return NotFound(message)
    if status == 409:
        return AlreadyExists(message) if reason == "AlreadyExists" else Conflict(message)
    if 400 <= status < 500 and status not in _AGAIN:
        return Refused(message, _remedy(said) if status == 403 else "")
    return Transient(f"{message} (HTTP {status})", _seconds(retry_after, answer))


def _remedy(said: str) -> str:
    """Return what helps against a 403; "" where the object itself has to change (Pod Security, a policy)."""
    if "exceeded quota" in said:
        return "raise the namespace's ResourceQuota, or wait until it has room"
    if "cannot" in said and "resource" in said:
        return "give the operator's service account this right; the chart's role has it"
    return ""


def unreachable(what: str, error: BaseException) -> Transient:
    """Classify a request that got no answer; whether it was carried out is unknown."""
    said = "no answer in time" if isinstance(error, TimeoutError) else str(error) or type(error).__name__
    return Transient(f"cannot {what}: {said}")


def _status(body: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(body)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}


def _namespace_ends(answer: dict[str, Any]) -> bool:
    causes = (answer.get("details") or {}).get("causes") or []
    return any(cause.get("reason") == "NamespaceTerminating" for cause in causes)


def _seconds(header: str | None, answer: dict[str, Any]) -> float | None:
    """Return how long the API server asks to wait."""
    if header is not None and header.strip().isdecimal():
        return float(header)
    asked = (answer.get("details") or {}).get("retryAfterSeconds")
    return float(asked) if isinstance(asked, int) and asked > 0 else None
