"""Secateur / Jobs: all PruningJobs, what their stages take, and what had to be tried again."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard

from charts.monitoring import panels
from charts.monitoring.panels import Query, lines, number, page, row, rows

_IN = 'namespace=~"$namespace"'
_EACH = "max by (namespace, name)"


def build() -> dashboard.Dashboard:
    """Return the dashboard."""
    board = page("secateur-jobs", "Secateur / Jobs", "PruningJobs by phase, their gains, their stages.")
    board.with_variable(
        panels.label_values("namespace", "Namespace", "secateur_jobs", "namespace", several=True)
    )
    _phases(board)
    _table(board)
    _stages(board)
    return board


def _phases(board: dashboard.Dashboard) -> None:
    board.with_row(row("Phases"))
    by_phase = Query(f"sum by (phase) (secateur_jobs{{{_IN}}})", "{{phase}}")
    board.with_panel(number("Jobs now", "PruningJobs by phase.", "short", by_phase, width=8))
    board.with_panel(lines("Jobs", "PruningJobs by phase.", "short", by_phase, width=16, stacked=True))


def _table(board: dashboard.Dashboard) -> None:
    board.with_row(row("Each job"))
    columns = {
        "Done": Query(f"{_EACH} (secateur_job_percent{{{_IN}}})"),
        "Baseline": Query(f'{_EACH} (secateur_job_metric{{{_IN},which="baseline"}})'),
        "Metric": Query(f'{_EACH} (secateur_job_metric{{{_IN},which="current"}})'),
        "Drop": Query(f"{_EACH} (secateur_job_accuracy_drop_ratio{{{_IN}}})"),
        "MACs cut": Query(f"{_EACH} (secateur_job_macs_cut_ratio{{{_IN}}})"),
        "Speed-up": Query(f"min by (namespace, name) (secateur_job_speedup_ratio{{{_IN}}})"),
    }
    units = {"Done": "percent", "Drop": "percentunit", "MACs cut": "percentunit", "Speed-up": "suffix:x"}
    says = "Speed-up is the least of a job's benchmarks; an empty cell was not measured (yet)."
    board.with_panel(rows("Jobs", says, columns, units, ["namespace", "name"]))


def _stages(board: dashboard.Dashboard) -> None:
    board.with_row(row("Stages, all namespaces"))
    board.with_panel(
        lines(
            "Seconds per stage, mean",
            "From start to end of the Job, of stages that finished since the leader started.",
            "s",
            Query(
                "sum by (stage) (secateur_stage_seconds_sum) / sum by (stage) (secateur_stage_seconds_count)",
                "{{stage}}",
            ),
        )
    )
    board.with_panel(
        lines(
            "Seconds per stage, p90",
            "Of the stages that finished since the leader started.",
            "s",
            Query("histogram_quantile(0.9, sum by (stage, le) (secateur_stage_seconds_bucket))", "{{stage}}"),
        )
    )
    board.with_panel(
        lines(
            "Retries per hour",
            "Pods and Jobs that failed and were tried again, by stage and reason.",
            "short",
            Query(
                "sum by (stage, reason) (increase(secateur_stage_retries_total[1h])) or vector(0)",
                "{{stage}} {{reason}}",
            ),
        )
    )
