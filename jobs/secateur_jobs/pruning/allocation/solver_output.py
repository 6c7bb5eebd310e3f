"""What HiGHS prints although it is told to be quiet."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryFile

_DEBUG_LINE = b"HighsMipSolverData::transformNewIntegerFeasibleSolution tmpSolver.run();"
"""No option turns it off up to HiGHS 1.12, which is SciPy 1.17's (https://github.com/ERGO-Code/HiGHS/issues/2783)."""
_C = ctypes.CDLL(None)


@contextmanager
def without_debug_lines() -> Iterator[None]:
    """Keep standard output free of what C code prints meanwhile: its debug line goes, all else to stderr."""
    sys.stdout.flush()
    _C.fflush(None)
    stdout = os.dup(1)
    with TemporaryFile() as said:
        os.dup2(said.fileno(), 1)
        try:
            yield
        finally:
            _C.fflush(None)
            os.dup2(stdout, 1)
            os.close(stdout)
            said.seek(0)
            sys.stderr.buffer.writelines(line for line in said if line.strip() != _DEBUG_LINE)
            sys.stderr.flush()
