"""Failures that a stage can explain: each has an exit code, a reason and one sentence for the user."""

from __future__ import annotations

import errno

from secateur_api.conditions import Reason
from secateur_api.stage import ExitCode


class StageError(Exception):
    """A failure with a known cause; ``message`` says what, where, and what would be right."""

    exit_code = ExitCode.INTERNAL

    def __init__(self, reason: Reason, message: str) -> None:
        self.reason = reason
        self.message = message
        super().__init__(message)


class InvalidInput(StageError):
    """The user must change the spec, the code or the model."""

    exit_code = ExitCode.INVALID_INPUT


class MissingData(StageError):
    """Weights, data or an upstream artifact is missing or corrupt."""

    exit_code = ExitCode.MISSING_DATA


class Absent(MissingData):
    """There is no file at an address."""


class Damaged(MissingData):
    """A file of a finished unit is not what its stage left, so that the unit is to be made again."""

    def __init__(self, unit: str, message: str) -> None:
        self.unit = unit
        super().__init__(Reason.ARTIFACT_CORRUPT, message)


class Unreachable(StageError):
    """The target or a constraint cannot be reached with this model."""

    exit_code = ExitCode.UNREACHABLE


class Retryable(StageError):
    """A passing fault; worth another try."""

    exit_code = ExitCode.RETRYABLE


def from_os_error(error: OSError) -> StageError:
    """Translate an operating system's refusal (full disk, lost mount) into a retryable fault."""
    where = f" ({error.filename})" if error.filename else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Retryable(
            Reason.STORE_FULL,
            f"no space left on the device{where}; free some space, the job then continues",
        )
    return Retryable(Reason.STORE_UNAVAILABLE, f"{error.strerror or error}{where}")
