"""``python -m charts.monitoring FOLDER``: write every dashboard as FOLDER/NAME.json."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard

from charts.monitoring import job_dashboard, jobs_dashboard, operator_dashboard

_DASHBOARDS = {
    "operator": operator_dashboard.build,
    "jobs": jobs_dashboard.build,
    "job": job_dashboard.build,
}


def rendered() -> dict[str, str]:
    """Return file names and contents, in a stable order of keys."""
    return {f"{name}.json": _json(build().build()) for name, build in _DASHBOARDS.items()}


def _json(board: dashboard.Dashboard) -> str:
    for number, panel in enumerate(board.panels or [], start=1):
        panel.id_val = number  # left alone they are all 0, and Grafana wants them to differ
    return json.dumps(board, cls=JSONEncoder, indent=2, sort_keys=True) + "\n"


def main(folder: Path) -> None:
    """Write the files."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in rendered().items():
        (folder / name).write_text(text)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m charts.monitoring FOLDER")
    main(Path(sys.argv[1]))
