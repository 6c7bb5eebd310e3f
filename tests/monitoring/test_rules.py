"""The rules: valid, each alert fires on its symptom and only then, and each has a runbook."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.monitoring import promtool
from tests.monitoring.queries import ROOT, RULES, metric_names, panel_queries, rule_expressions

_TESTS = Path(__file__).parent / "rules.test.yaml"
_ALL = [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]
_ALERTS = [rule for rule in _ALL if "alert" in rule]


def test_they_are_valid() -> None:
    promtool.check_rules(RULES)


def test_they_fire_and_do_not_fire() -> None:
    promtool.run_unit_tests(_TESTS)


@pytest.mark.parametrize("alert", _ALERTS, ids=lambda alert: alert["alert"])
def test_each_alert_is_tested_both_ways(alert: dict[str, Any]) -> None:
    cases = [
        case
        for group in yaml.safe_load(_TESTS.read_text())["tests"]
        for case in group.get("alert_rule_test", [])
        if case["alertname"] == alert["alert"]
    ]
    assert any(case.get("exp_alerts") for case in cases)
    assert any(not case.get("exp_alerts") for case in cases)


@pytest.mark.parametrize("alert", _ALERTS, ids=lambda alert: alert["alert"])
def test_each_alert_has_its_runbook(alert: dict[str, Any]) -> None:
    page, anchor = alert["annotations"]["runbook"].split("#")
    headings = re.findall(r"^#+ (.*)$", (ROOT / page).read_text(), re.M)
    assert anchor in {heading.lower().replace(" ", "-") for heading in headings}
    assert anchor == alert["alert"].lower()


def test_recorded_names_are_recorded() -> None:
    recorded = {rule["record"] for rule in _ALL if "record" in rule}
    expressions = [*rule_expressions(), *(query.expr for query in panel_queries())]
    used = {name for expr in expressions for name in metric_names(expr) if ":" in name}
    assert used == recorded
