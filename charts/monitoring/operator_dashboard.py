"""Secateur / Operator: is the control plane well?"""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard

from charts.monitoring import panels
from charts.monitoring.panels import Query, health, lines, number, page, row

_OF = 'job=~"$operator"'
_RATE = "$__rate_interval"


def build() -> dashboard.Dashboard:
    """Return the dashboard."""
    board = page("secateur-operator", "Secateur / Operator", "Queue, passes, API requests and leadership.")
    board.with_variable(
        panels.label_values("operator", "Operator", "secateur_build_info", "job", several=True)
    )
    _health(board)
    _queue(board)
    _passes(board)
    _requests(board)
    _process(board)
    return board


def _health(board: dashboard.Dashboard) -> None:
    board.with_row(row("Health"))
    board.with_panel(
        health(
            "Leaders",
            "Replicas that lead; one per installed operator is right.",
            Query(f"sum(secateur_leader{{{_OF}}})"),
            (None, "red"),
            (1, "green"),
        )
    )
    board.with_panel(
        health(
            "Oldest due job, s",
            "How long the job that is due longest has been waiting for its pass.",
            Query(f"max(secateur_queue_oldest_seconds{{{_OF}}})"),
            (None, "green"),
            (10, "orange"),
            (60, "red"),
        )
    )
    board.with_panel(
        number(
            "Version",
            "Versions of the replicas.",
            "short",
            Query(f"count by (version) (secateur_build_info{{{_OF}}})", "{{version}}"),
            names=True,
        )
    )
    board.with_panel(
        lines(
            "Leader",
            "1 for the replica that leads, 0 for those that stand by.",
            "short",
            Query(f"secateur_leader{{{_OF}}}", "{{instance}}"),
            width=12,
        )
    )


def _queue(board: dashboard.Dashboard) -> None:
    board.with_row(row("Queue"))
    board.with_panel(
        lines(
            "Depth",
            "Jobs that are due and wait for a pass.",
            "short",
            Query(f"secateur_queue_depth{{{_OF}}}", "{{instance}}"),
        )
    )
    board.with_panel(
        lines(
            "Oldest due job",
            "How long the job that is due longest has been waiting.",
            "s",
            Query(f"secateur_queue_oldest_seconds{{{_OF}}}", "{{instance}}"),
        )
    )
    board.with_panel(
        lines("From due to pass", "Time from a job falling due to its pass.", "s", *_quantiles("queue_wait"))
    )


def _passes(board: dashboard.Dashboard) -> None:
    board.with_row(row("Passes"))
    board.with_panel(
        lines(
            "Passes per second",
            "done; conflict: done again at once; fault: done again later; defect: an error in Secateur.",
            "ops",
            Query(
                f"sum by (result) (rate(secateur_reconcile_seconds_count{{{_OF}}}[{_RATE}]))", "{{result}}"
            ),
            width=12,
        )
    )
    board.with_panel(
        lines("Length of a pass", "Reads, decision, writes.", "s", *_quantiles("reconcile"), width=12)
    )


def _requests(board: dashboard.Dashboard) -> None:
    board.with_row(row("API requests"))
    selector = f"secateur_api_requests_total{{{_OF}"
    board.with_panel(
        lines(
            "Requests per second",
            "By verb and resource.",
            "reqps",
            Query(f"sum by (verb, resource) (rate({selector}}}[{_RATE}]))", "{{verb}} {{resource}}"),
            width=12,
        )
    )
    board.with_panel(
        lines(
            "Requests that failed, per second",
            "By code; 404 and 409 are normal answers and left out.",
            "reqps",
            Query(
                f'sum by (code) (rate({selector},code!~"2..|404|409"}}[{_RATE}])) or vector(0)',
                "{{code}}",
            ),
            width=12,
        )
    )


def _process(board: dashboard.Dashboard) -> None:
    board.with_row(row("Process"))
    for title, says, unit, expr in (
        ("Memory", "Resident set of each replica.", "bytes", f"process_resident_memory_bytes{{{_OF}}}"),
        ("CPU", "Cores in use.", "short", f"rate(process_cpu_seconds_total{{{_OF}}}[{_RATE}])"),
    ):
        board.with_panel(lines(title, says, unit, Query(expr, "{{instance}}"), width=12))


def _quantiles(histogram: str) -> list[Query]:
    buckets = f"sum by (le) (rate(secateur_{histogram}_seconds_bucket{{{_OF}}}[{_RATE}]))"
    return [Query(f"histogram_quantile({q}, {buckets})", f"p{100 * q:.0f}") for q in (0.5, 0.9, 0.99)]
