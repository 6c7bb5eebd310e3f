"""Settings: from the command line or from variables, and what is refused."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from typer.testing import CliRunner

from secateur_api.spec import Store
from secateur_operator import cli
from secateur_operator.cluster import main
from secateur_operator.cluster.settings import LogFormat, PullPolicy, Settings, SettingsError, store_of


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """Settings that the operator was started with; it ends at once."""
    found: list[Settings] = []

    def run(settings: Settings) -> int:
        found.append(settings)
        return 0

    monkeypatch.setattr(main, "run", run)
    return found


def operator(*options: str, **variables: str) -> Any:
    return CliRunner().invoke(cli.app, ["operator", *options], env=variables)


def test_without_options_the_defaults_of_the_class_count(told: list[Settings]) -> None:
    assert operator().exit_code == 0
    assert told == [Settings()]


def test_every_setting_has_an_option_and_a_variable(told: list[Settings]) -> None:
    expected = Settings(
        namespaces=("a", "b"),
        selector=(("team", "vision"), ("x.dev/tier", "gold")),
        max_running=5,
        store=Store(uri="s3://b/p", secret="keys"),
        image="registry/jobs:1",
        image_pull_policy=PullPolicy.ALWAYS,
        image_pull_secrets=("pull", "more"),
        job_ttl_seconds=60,
        workers=3,
        leader_elect=False,
        lease_name="mine",
        lease_namespace="here",
        metrics_port=1080,
        health_port=1081,
        log_format=LogFormat.TEXT,
        verbose=True,
    )
    assert all(
        getattr(expected, field.name) != getattr(Settings(), field.name)
        for field in dataclasses.fields(Settings)
    )
    by_options = operator(
        *("--selector", "x.dev/tier=gold, team=vision", "--max-running", "5"),
        *("--namespace", "a", "--namespace", "b", "--store-uri", "s3://b/p", "--store-secret", "keys"),
        *("--image", "registry/jobs:1", "--image-pull-policy", "Always"),
        *("--image-pull-secret", "pull", "--image-pull-secret", "more", "--job-ttl", "60", "--workers", "3"),
        *("--no-leader-elect", "--lease-name", "mine", "--lease-namespace", "here"),
        *("--metrics-port", "1080", "--health-port", "1081", "--log-format", "text", "-v"),
    )
    by_variables = operator(
        SECATEUR_NAMESPACES="a b",
        SECATEUR_SELECTOR="team=vision,x.dev/tier=gold",
        SECATEUR_MAX_RUNNING="5",
        SECATEUR_STORE_URI="s3://b/p",
        SECATEUR_STORE_SECRET="keys",
        SECATEUR_IMAGE="registry/jobs:1",
        SECATEUR_IMAGE_PULL_POLICY="Always",
        SECATEUR_IMAGE_PULL_SECRETS="pull more",
        SECATEUR_JOB_TTL="60",
        SECATEUR_WORKERS="3",
        SECATEUR_LEADER_ELECT="false",
        SECATEUR_LEASE_NAME="mine",
        SECATEUR_LEASE_NAMESPACE="here",
        SECATEUR_METRICS_PORT="1080",
        SECATEUR_HEALTH_PORT="1081",
        SECATEUR_LOG_FORMAT="text",
        SECATEUR_VERBOSE="true",
    )
    assert (by_options.exit_code, by_variables.exit_code) == (0, 0), by_options.output + by_variables.output
    assert told == [expected, expected]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--store-claim", "c", "--store-uri", "s3://b"), "a store is either a claim or a uri"),
        (("--store-secret", "s"), "--store-secret: it belongs to a store"),
        (("--store-claim", "No Name"), "--store-claim"),
        (("--selector", "team in (a)"), "--selector: 'teamin(a)' is no label; write key=value"),
        (("--selector", "team=a,team=b"), "--selector: team is there twice; a label has one value"),
        (("--max-running", "-1"), "--max-running"),
        (("--namespace", "Upper"), "--namespace: 'Upper' is no namespace's name"),
        (("--metrics-port", "8081"), "--metrics-port and --health-port"),
        (("--workers", "0"), "--workers"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(
    told: list[Settings], options: tuple[str, ...], words: str
) -> None:
    result = operator(*options)
    assert result.exit_code == 2
    assert words in result.output
    assert told == []


def test_a_secret_may_go_with_either_kind_of_store() -> None:
    assert store_of("claim", None, "keys") == Store(claim="claim", secret="keys")
    assert store_of(None, None, None) is None
    with pytest.raises(SettingsError):
        store_of("claim", "s3://b", None)


def test_the_lease_is_where_the_operator_serves_if_nothing_else_is_said() -> None:
    assert Settings(namespaces=("a", "b")).where_lease_is == "a"
    assert Settings().where_lease_is == "default"
    assert Settings(namespaces=("a",), lease_namespace="z").where_lease_is == "z"
