"""What answers of the API server mean."""

from __future__ import annotations

import json
from typing import Any

import pytest

from secateur_operator.gateway.kube.errors import error_of, unreachable
from secateur_operator.gateway.protocol import (
    AlreadyExists,
    Conflict,
    GatewayError,
    NotFound,
    Refused,
    Transient,
)


def status(code: int, reason: str = "", message: str = "said", **details: Any) -> bytes:
    return json.dumps(
        {"kind": "Status", "code": code, "reason": reason, "message": message, "details": details}
    ).encode()


@pytest.mark.parametrize(
    ("code", "reason", "meaning"),
    [
        (400, "BadRequest", Refused),
        (401, "Unauthorized", Transient),
        (403, "Forbidden", Refused),
        (404, "NotFound", NotFound),
        (405, "MethodNotAllowed", Refused),
        (409, "AlreadyExists", AlreadyExists),
        (409, "Conflict", Conflict),
        (410, "Expired", Transient),
        (413, "RequestEntityTooLarge", Refused),
        (422, "Invalid", Refused),
        (429, "TooManyRequests", Transient),
        (500, "InternalError", Transient),
        (503, "ServiceUnavailable", Transient),
        (504, "Timeout", Transient),
    ],
)
def test_an_answer_is_classified(code: int, reason: str, meaning: type[GatewayError]) -> None:
    error = error_of("create jobs a", code, status(code, reason))
    assert type(error) is meaning
    assert str(error).startswith("cannot create jobs a: said")


def test_a_namespace_that_ends_is_as_good_as_gone() -> None:
    causes = [{"reason": "NamespaceTerminating", "message": "namespace a is being terminated"}]
    assert type(error_of("create", 403, status(403, "Forbidden", causes=causes))) is NotFound


@pytest.mark.parametrize(
    ("header", "details", "seconds"),
    [("3", {}, 3.0), (None, {"retryAfterSeconds": 7}, 7.0), (None, {}, None), ("Wed, 21 Oct", {}, None)],
)
def test_the_wait_that_is_asked_for_is_kept(header: str | None, details: Any, seconds: float | None) -> None:
    error = error_of("get", 429, status(429, **details), header)
    assert isinstance(error, Transient)
    assert error.retry_after == seconds


@pytest.mark.parametrize("body", [b"", b"<html>502 Bad Gateway</html>", b"[]", b"\xff"])
def test_an_answer_of_somebody_else_is_understood_by_its_code(body: bytes) -> None:
    error = error_of("get", 502, body)
    assert isinstance(error, Transient)
    assert "502" in str(error)


def test_no_answer_may_come_later() -> None:
    assert "no answer in time" in str(unreachable("get", TimeoutError()))
    assert "refused" in str(unreachable("get", OSError("Connection refused")))
