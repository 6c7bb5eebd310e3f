"""Secateur / Job: one PruningJob, how far it is and what it gained."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard

from charts.monitoring import panels
from charts.monitoring.panels import Query, bars, lines, number, page, row, states

_OF = 'namespace=~"$namespace",name=~"$name"'
_IN = 'namespace="$namespace"'


def build() -> dashboard.Dashboard:
    """Return the dashboard."""
    board = page(
        "secateur-job", "Secateur / Job", "One PruningJob: progress, metric, MACs, latency.", "now-24h"
    )
    metric = "secateur_job_percent"
    board.with_variable(panels.label_values("namespace", "Namespace", metric, "namespace", several=False))
    board.with_variable(panels.label_values("name", "Job", f"{metric}{{{_IN}}}", "name", several=False))
    _now(board)
    _course(board)
    _gain(board)
    return board


def _now(board: dashboard.Dashboard) -> None:
    board.with_row(row("Now"))
    phase = Query(f"max by (phase) (secateur_job_phase{{{_OF}}}) == 1", "{{phase}}")
    board.with_panel(number("Phase", "The phase that the job is in.", "short", phase, names=True))
    for title, says, unit, metric in (
        ("Done", "Of the whole job, estimated.", "percent", "percent"),
        (
            "MACs cut",
            "Of the unpruned model's; of the best so far.",
            "percentunit",
            "macs_cut_ratio",
        ),
        ("Drop", "Relative drop of the metric to the baseline.", "percentunit", "accuracy_drop_ratio"),
        ("Speed-up", "Least of all benchmarks.", "suffix:x", "speedup_ratio"),
    ):
        query = Query(f"min(secateur_job_{metric}{{{_OF}}})")
        board.with_panel(number(title, says, unit, query, width=5))


def _course(board: dashboard.Dashboard) -> None:
    board.with_row(row("Course"))
    metric = Query(f"max by (which) (secateur_job_metric{{{_OF}}})", "{{which}}")
    board.with_panel(lines("Metric", "Of the unpruned model, and of the best so far.", "short", metric))
    for title, says, unit, name in (
        ("Done", "Of the whole job, estimated.", "percent", "percent"),
        ("MACs cut", "Round by round, of the unpruned model's.", "percentunit", "macs_cut_ratio"),
    ):
        query = Query(f"max(secateur_job_{name}{{{_OF}}})", title)
        board.with_panel(lines(title, says, unit, query))
    phases = Query(f"max by (phase) (secateur_job_phase{{{_OF}}})", "{{phase}}")
    board.with_panel(states("Phase", "The phases that the job went through.", phases))


def _gain(board: dashboard.Dashboard) -> None:
    board.with_row(row("Gain, measured on the converted models"))
    latency = Query(
        f"max by (which, device, format) (secateur_job_latency_p50_seconds{{{_OF}}})",
        "{{which}} {{device}} {{format}}",
    )
    board.with_panel(bars("Latency p50, before and after", "Baseline and pruned.", "s", latency, width=12))
    speedup = Query(f"max by (device, format) (secateur_job_speedup_ratio{{{_OF}}})", "{{device}} {{format}}")
    board.with_panel(bars("Speed-up", "Of p50, per device and format.", "suffix:x", speedup, width=12))
