"""Log lines: JSON for machines, text for people; what each is about is in fields."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import TextIO

from secateur_operator.cluster.settings import LogFormat
from secateur_operator.domain.times import stamp
from secateur_operator.engine.reconciler import FIELD

OURS = "secateur_operator"


def configure(form: LogFormat, verbose: bool, stream: TextIO = sys.stderr) -> None:
    """Send every log line of the process to a stream, once; libraries only warn unless ``verbose``."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines() if form is LogFormat.JSON else TextLines())
    handler.addFilter(is_said_at_its_weight)
    logging.basicConfig(level=logging.INFO if verbose else logging.WARNING, handlers=[handler], force=True)
    logging.getLogger(OURS).setLevel(logging.DEBUG if verbose else logging.INFO)
    logging.captureWarnings(True)


class JsonLines(logging.Formatter):
    """One JSON object a line: ts, level, logger, message, the reference's fields, and error (a traceback)."""

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, object] = {
            "ts": _moment(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, FIELD, {}),
        }
        if record.exc_info:
            entry["error"] = self.formatException(record.exc_info)
        return json.dumps(entry, default=str)


class TextLines(logging.Formatter):
    """Time, level, the job where there is one, message."""

    def format(self, record: logging.LogRecord) -> str:
        about = getattr(record, FIELD, {})
        where = f"{about['namespace']}/{about['name']}: " if "name" in about else ""
        line = f"{_moment(record)} {record.levelname:<7} {where}{record.getMessage()}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def is_said_at_its_weight(record: logging.LogRecord) -> bool:
    """Kopf calls a request that it will try again an error; it is one when it gives up."""
    if record.levelno == logging.ERROR and record.name.startswith("kopf") and "will " in record.msg:
        record.levelno, record.levelname = logging.WARNING, "WARNING"
    return True


def _moment(record: logging.LogRecord) -> str:
    return stamp(datetime.fromtimestamp(record.created, UTC))
