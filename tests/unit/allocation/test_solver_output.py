"""What the solver's C code prints: standard output, where a stage's progress goes, stays clean."""

from __future__ import annotations

import ctypes

import pytest

from secateur_jobs.pruning.allocation import milp
from secateur_jobs.pruning.allocation.solver_output import without_debug_lines
from tests.unit.allocation.problems import large

_C = ctypes.CDLL(None)


def test_solving_says_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    milp.solve(large(25, 16, (0.5, 0.4), seed=0))  # for which HiGHS 1.12 prints 17 lines
    assert capfd.readouterr() == ("", "")


def test_the_debug_line_is_dropped_and_the_rest_goes_to_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    print("before")
    with without_debug_lines():
        _C.puts(b"HighsMipSolverData::transformNewIntegerFeasibleSolution tmpSolver.run();")
        _C.puts(b"ERROR: no basis")
    print("after")
    assert capfd.readouterr() == ("before\nafter\n", "ERROR: no basis\n")


def _fail() -> None:
    with without_debug_lines():
        _C.puts(b"no memory")
        raise MemoryError


def test_what_was_said_before_an_error_is_not_lost(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(MemoryError):
        _fail()
    _C.puts(b"after")
    _C.fflush(None)
    assert capfd.readouterr() == ("after\n", "no memory\n")
