"""Log lines as a machine and as a person read them."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from secateur_operator.cluster.logging import configure
from secateur_operator.cluster.settings import LogFormat
from secateur_operator.engine.reconciler import reference
from secateur_operator.gateway.protocol import Key

OURS = logging.getLogger("secateur_operator.engine.reconciler")
KOPF = logging.getLogger("kopf._cogs.clients.api")


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    root, ours = logging.getLogger(), logging.getLogger("secateur_operator")
    before = root.handlers[:], root.level, ours.level
    yield
    root.handlers[:], root.level, ours.level = before
    logging.captureWarnings(False)


def lines(form: LogFormat, verbose: bool = False) -> io.StringIO:
    stream = io.StringIO()
    configure(form, verbose, stream)
    return stream


def test_a_line_of_json_says_what_it_is_about() -> None:
    stream = lines(LogFormat.JSON)
    OURS.info(
        "Queued: run %d starts",
        1,
        extra=reference(Key("ns", "digits"), uid="u-1", run=1, stage=None, reason="Queued"),
    )
    [line] = stream.getvalue().splitlines()
    entry = json.loads(line)
    assert entry.pop("ts").endswith("Z")
    assert entry == {
        "level": "info",
        "logger": "secateur_operator.engine.reconciler",
        "message": "Queued: run 1 starts",
        "namespace": "ns",
        "name": "digits",
        "uid": "u-1",
        "run": 1,
        "reason": "Queued",
    }


def test_an_exception_stays_one_line_of_json() -> None:
    stream = lines(LogFormat.JSON)
    try:
        raise ValueError("two\nlines")
    except ValueError:
        OURS.exception("a defect")
    [line] = stream.getvalue().splitlines()
    assert json.loads(line)["level"] == "error"
    assert "ValueError: two\nlines" in json.loads(line)["error"]


def test_text_names_the_job() -> None:
    stream = lines(LogFormat.TEXT)
    OURS.warning("no answer", extra=reference(Key("ns", "digits")))
    OURS.info("leading")
    first, second = stream.getvalue().splitlines()
    assert first.endswith("WARNING ns/digits: no answer")
    assert second.endswith("INFO    leading")


def test_libraries_only_warn_unless_verbose() -> None:
    quiet = lines(LogFormat.TEXT)
    KOPF.info("a watch begins")
    OURS.debug("reading again")
    assert quiet.getvalue() == ""
    loud = lines(LogFormat.TEXT, verbose=True)
    KOPF.info("a watch begins")
    OURS.debug("reading again")
    assert len(loud.getvalue().splitlines()) == 2


def test_what_kopf_tries_again_is_a_warning_and_what_it_gives_up_an_error() -> None:
    stream = lines(LogFormat.JSON)
    KOPF.error("Request attempt #1/9 failed; will retry: GET x -> TimeoutError()")
    KOPF.error("Request attempt #9/9 failed; escalating: GET x -> TimeoutError()")
    assert [json.loads(line)["level"] for line in stream.getvalue().splitlines()] == ["warning", "error"]


def test_nothing_is_logged_twice() -> None:
    lines(LogFormat.JSON)
    stream = lines(LogFormat.JSON)
    OURS.info("once")
    assert len(stream.getvalue().splitlines()) == 1
