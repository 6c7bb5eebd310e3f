"""Words for what went wrong in the user's code, spelling or documents."""

from __future__ import annotations

import difflib
import sysconfig
import traceback
from collections.abc import Iterable
from pathlib import Path

from pydantic import ValidationError

import secateur_api

RAISED = (Exception, SystemExit, KeyboardInterrupt)
"""What user code may raise and a stage must explain; Ctrl-C reaches no stage, which has its own session."""
_INSTALLED = tuple(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib"))
_OURS = (str(Path(__file__).parent), str(Path(secateur_api.__file__).parent))


def near(name: str, known: Iterable[str], limit: int = 12) -> str:
    """Say which known names are near a wrong one, or what there is: ``; did you mean 'x'?``."""
    known = list(known)
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.6)
    if close:
        return "; did you mean " + " or ".join(repr(c) for c in close) + "?"
    shown = sorted(known)[:limit]
    more = ", ..." if len(known) > limit else ""
    return f"; there is: {', '.join(shown)}{more}" if shown else ""


def first_fault(error: ValidationError) -> str:
    """Write the first thing that is wrong in a document, and where: ``model.inputs: Field required``."""
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"


def some(items: list[str], separator: str = ", ", limit: int = 5) -> str:
    """Write the first few of a list, and how many more there are."""
    more = f"{separator}and {len(items) - limit} more" if len(items) > limit else ""
    return separator.join(items[:limit]) + more


def raised(error: BaseException) -> str:
    """Write what user code raised, and where: ``ValueError: bad width (net.py, line 12)``."""
    # the first frame is ours, which called the user's code; those of the import system say nothing
    frames = [f for f in traceback.extract_tb(error.__traceback__)[1:] if "importlib" not in f.filename]
    where = f" ({frames[-1].filename.rsplit('/', 1)[-1]}, line {frames[-1].lineno})" if frames else ""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    # Paddle writes a C++ stack first; the cause is on the line after its error summary
    text = next((line for line in reversed(lines) if "Error: " in line), lines[0] if lines else "")
    return f"{type(error).__name__}: {text[:300]}{where}" if text else f"{type(error).__name__}{where}"


def in_user_code(error: BaseException) -> str | None:
    """Say where in the user's code an error was raised, or passed through: ``net.py, line 12``; else None.

    The user's is what is neither installed nor Secateur's.
    """
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        name = frame.filename
        if name.startswith("/") and not name.startswith((*_INSTALLED, *_OURS)):
            return f"{name.rsplit('/', 1)[-1]}, line {frame.lineno}"
    return None
