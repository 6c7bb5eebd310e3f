"""Run one stage as the contract says: input from the environment, result to the store, exit code up."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib
import os
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path

from pydantic import ValidationError

from secateur_api.conditions import Reason
from secateur_api.results import StageOutcome
from secateur_api.stage import (
    INPUT_VARIABLE,
    NO_RESULT,
    READS_SOURCES,
    RECALL_VARIABLE,
    SHARD_VARIABLE,
    TERMINATION_DEFAULT,
    TERMINATION_LIMIT,
    TERMINATION_VARIABLE,
    TO_DO,
    ExitCode,
    Stage,
    StageInput,
    StageResult,
    StageSummary,
    unit_name,
)
from secateur_api.uri import redacted
from secateur_jobs.explain import first_fault, in_user_code, raised
from secateur_jobs.runtime.code_path import make_importable
from secateur_jobs.runtime.consistency import contradiction
from secateur_jobs.runtime.context import StageContext
from secateur_jobs.runtime.errors import Damaged, InvalidInput, Retryable, StageError, from_os_error
from secateur_jobs.runtime.files import read_named
from secateur_jobs.runtime.store import Store
from secateur_jobs.runtime.toolchain import toolchain
from secateur_jobs.runtime.users_modules import imported


def run_stage(stage: Stage) -> ExitCode:
    """Do one unit of work, or find it done; always leaves a termination message."""
    unit: str | None = None
    try:
        with _scratch(stage) as scratch:
            context = _named(_read_request(stage), scratch)
            unit = context.unit
            summary = _do(context)
        code = ExitCode.DONE
    except StageError as error:
        if error.__cause__ is not None:  # what the user's code raised: its traceback is for the log
            _log(redacted("".join(traceback.format_exception(error.__cause__))))
        damaged = error.unit if isinstance(error, Damaged) and error.unit else None
        code, summary = error.exit_code, _failure(stage, unit, error.reason, error.message, damaged)
    except OSError as error:
        _log_traceback()
        known = from_os_error(error)
        code, summary = known.exit_code, _failure(stage, unit, known.reason, known.message)
    except BaseException as error:  # noqa: BLE001  (the process border: nothing may leave without a message)
        _log_traceback()
        code, summary = _unforeseen(stage, unit, error)
    _terminate(summary)
    return code


def _unforeseen(stage: Stage, unit: str | None, error: BaseException) -> tuple[ExitCode, StageSummary]:
    """Explain what no caller foresaw: the user's code may raise wherever it runs."""
    where = in_user_code(error)
    if where is not None:
        text = (
            f"{raised(error)}: raised in your code ({where}) while stage {stage.value} ran it; the log has "
            "the traceback"
        )
        return ExitCode.INVALID_INPUT, _failure(stage, unit, Reason.FACTORY_FAILED, text)
    first = next(iter(str(error).splitlines()), "")
    text = f"{type(error).__name__}: {first}; this is a defect in Secateur, the log has the traceback"
    return ExitCode.INTERNAL, _failure(stage, unit, Reason.INTERNAL_ERROR, text)


def _log_traceback() -> None:
    _log(redacted(traceback.format_exc()))


def _read_request(stage: Stage) -> StageInput:
    text = os.environ.get(INPUT_VARIABLE)
    if not text:
        raise InvalidInput(Reason.INVALID_SPEC, f"the environment variable {INPUT_VARIABLE} is not set")
    try:
        request = StageInput.model_validate_json(text)
    except ValidationError as error:
        raise InvalidInput(Reason.INVALID_SPEC, f"{INPUT_VARIABLE}: {first_fault(error)}") from None
    if request.stage is not stage:
        raise InvalidInput(
            Reason.INVALID_SPEC, f"asked to run {stage.value}, but the input is for {request.stage.value}"
        )
    index = os.environ.get(SHARD_VARIABLE)
    if not index:
        return request
    if not index.isdecimal() or int(index) >= request.shards:
        raise InvalidInput(
            Reason.INVALID_SPEC, f"{SHARD_VARIABLE} is {index!r}; it must be 0..{request.shards - 1}"
        )
    return request.model_copy(update={"shard": int(index)})


@contextmanager
def _scratch(stage: Stage) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix=f"secateur-{stage.value}-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _named(request: StageInput, scratch: Path) -> StageContext:
    """Return the context with its unit named: by the request, and by the content that it leads to."""
    context = StageContext(request=request, store=Store(request.store), unit="", scratch=scratch)
    if request.stage in READS_SOURCES:
        context.progress(0, "read data, code and weights")
        _import_user_code(context)
        sources = importlib.import_module("secateur_jobs.sources")  # it imports Paddle
        context.sources, context.splits = sources.find(request.spec, context.code)
        context.request = request.model_copy(update={"spec": sources.pinned(request.spec, context.sources)})
    elif request.stage is Stage.SENSITIVITY:
        context.request = request = _with_pinned_curves(request)
    context.unit = unit_name(request, context.sources)
    return context


def _with_pinned_curves(request: StageInput) -> StageInput:
    """Return the request with the digest of the file of curves that it names."""
    spec, file = request.spec, request.spec.sensitivity.file
    if file is None:
        return request
    field = "spec.sensitivity.file"
    content = read_named(file.uri, file.sha256, field, Reason.ARTIFACT_CORRUPT, Reason.INVALID_SPEC)
    file = file.model_copy(update={"sha256": hashlib.sha256(content).hexdigest()})
    sensitivity = spec.sensitivity.model_copy(update={"file": file})
    return request.model_copy(update={"spec": spec.model_copy(update={"sensitivity": sensitivity})})


def _import_user_code(context: StageContext) -> None:
    if context.request.spec.code is not None:
        context.code = make_importable(context.request.spec.code, context.scratch)


def _do(context: StageContext) -> StageSummary:
    request, store, unit = context.request, context.store, context.unit
    check = functools.partial(contradiction, store, request)
    found = store.look(unit, check)
    if found.result is not None:
        return found.result.summary.model_copy(update={"reused": True})
    if os.environ.get(RECALL_VARIABLE):
        why = found.damage or f"{store.url_of()}{NO_RESULT}{unit}"
        raise Retryable(Reason.KILLED, f"{why}{TO_DO}")
    context.progress(0, "starting")
    begin = time.monotonic()
    if request.stage not in READS_SOURCES:
        _import_user_code(context)
    module = importlib.import_module(f"secateur_jobs.stages.{request.stage.value}")
    outcome: StageOutcome = module.run(context)
    note = redacted(f"done again: {found.damage}") if found.damage else ""
    summary = StageSummary(
        stage=request.stage,
        unit=unit,
        ok=True,
        seconds=time.monotonic() - begin,
        measured_at=datetime.now(timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z"),
        outcome=outcome,
    )
    _message(summary)  # a result that could not be reported is not committed
    result = StageResult(
        summary=summary,
        files=context.files,
        read=store.read_by(unit),
        modules={str(one.file): one.digest for one in imported(context.code).values()},
        toolchain=toolchain(),
    )
    committed = store.commit(unit, result, check)  # another process may have been first
    context.progress(100, "done")
    theirs = not note and committed.summary != summary  # mended, the old result is whole again
    return _fitting(committed.summary.model_copy(update={"message": note, "reused": theirs}))


def _failure(
    stage: Stage, unit: str | None, reason: Reason, message: str, damaged: str | None = None
) -> StageSummary:
    # file names may hold half a surrogate pair
    readable = redacted(message).encode(errors="replace").decode()
    summary = StageSummary(
        stage=stage, unit=unit, ok=False, reason=reason.value, message=readable, damaged=damaged
    )
    return _fitting(summary)


def _fitting(summary: StageSummary) -> StageSummary:
    """Shorten the message until the whole fits into a termination message."""
    while summary.message and len(_dump(summary).encode()) > TERMINATION_LIMIT:
        summary = summary.model_copy(update={"message": summary.message[: len(summary.message) * 9 // 10]})
    return summary


def _dump(summary: StageSummary) -> str:
    return summary.model_dump_json(by_alias=True, exclude_none=True)


def _message(summary: StageSummary) -> str:
    text = _dump(summary)
    if len(text.encode()) > TERMINATION_LIMIT:
        raise RuntimeError(f"the summary has {len(text.encode())} bytes, {TERMINATION_LIMIT} are allowed")
    return text


def _terminate(summary: StageSummary) -> None:
    """Leave the termination message; a disk that is too full for it does not change the exit code."""
    path = Path(os.environ.get(TERMINATION_VARIABLE, TERMINATION_DEFAULT))
    try:
        _leave(path, _message(summary))
    except OSError as error:
        _log(f"{path} cannot be written: {error}")
    _log(f"{summary.stage.value}: {summary.message or 'done'}")


def _log(text: str) -> None:
    with contextlib.suppress(OSError, ValueError):  # closed by user code, or nobody reads it any more
        print(text, file=sys.stderr)  # noqa: T201


def _leave(path: Path, text: str) -> None:
    writable = path.parent.is_dir() and os.access(path.parent, os.W_OK)
    if path.exists() and (not writable or path.parent.stat().st_dev != path.stat().st_dev):
        path.write_text(
            text, encoding="utf-8"
        )  # a bind mount, as the kubelet makes it: it cannot be replaced
    elif writable:
        partial = path.with_name(path.name + ".partial")
        partial.write_text(text, encoding="utf-8")
        os.replace(partial, path)
