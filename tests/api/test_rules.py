"""Every cross-field rule: the API server and Python take the same specs, and refuse in the same words."""

from __future__ import annotations

import pytest

import secateur_api.spec
from secateur_api import InvalidResource, parse_job
from secateur_api.base import Contract
from secateur_api.resource import NAME_MESSAGE
from tests.api.documents import FULL, MINIMAL, job
from tests.api.rules import CASES, Case
from tests.api.server import Server

pytestmark = pytest.mark.api
each_rule = pytest.mark.parametrize("case", CASES, ids=str)


def _message(case: Case) -> str:
    (message,) = (rule.message for rule in case.model.rules if rule.message.startswith(case.rule))
    return message


def test_every_rule_has_its_case() -> None:
    models = [
        model
        for model in vars(secateur_api.spec).values()
        if isinstance(model, type) and issubclass(model, Contract)
    ]
    declared = {(model, rule.message) for model in models for rule in model.rules}
    assert {(case.model, _message(case)) for case in CASES} == declared
    assert len(CASES) == len(declared)


@each_rule
def test_a_spec_that_keeps_the_rule_is_taken(server: Server, case: Case) -> None:
    document = job(MINIMAL, case.kept)
    server.accepts(document)
    parse_job(document)


@each_rule
def test_a_spec_that_breaks_the_rule_is_refused_in_the_same_words(server: Server, case: Case) -> None:
    document = job(MINIMAL, case.broken)
    said = server.refuses(document)
    assert list(said) == [case.where]
    assert said[case.where].endswith(_message(case))
    with pytest.raises(InvalidResource) as refused:
        parse_job(document)
    assert [(one.path, one.message) for one in refused.value.problems] == [(case.where, _message(case))]


def test_a_spec_with_every_field_is_taken(server: Server) -> None:
    parse_job(job(FULL))
    server.accepts(job(FULL))


@pytest.mark.parametrize("name", ["a.b.c", "a" * 53, "a" * 64])
def test_a_name_that_pods_cannot_have_is_refused_in_the_same_words(server: Server, name: str) -> None:
    document = job(MINIMAL, name=name)
    said = server.refuses(document)
    assert list(said) == ["metadata.name"]
    assert said["metadata.name"].endswith(NAME_MESSAGE)
    with pytest.raises(InvalidResource) as refused:
        parse_job(document)
    assert [(one.path, one.message) for one in refused.value.problems] == [("metadata.name", NAME_MESSAGE)]


def test_the_longest_name_is_taken(server: Server) -> None:
    server.accepts(job(MINIMAL, name="a" * 52))
