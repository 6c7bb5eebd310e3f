"""``python -m secateur_jobs store``: list, verify or clear a store; one JSON line for each unit."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence

from pydantic import ValidationError

from secateur_api.stage import ExitCode
from secateur_api.storekeeping import LINE_PREFIX, REQUEST_VARIABLE, Answer, Cleared, StoreRequest
from secateur_jobs.runtime.census import census, doomed, verified
from secateur_jobs.runtime.errors import StageError, from_os_error
from secateur_jobs.runtime.store import Store


def keep_store(words: Sequence[str] = ()) -> ExitCode:
    """Do what the request asks for; the answers go to standard output.

    ``words`` are further units, separated by commas: one environment variable may be too short for all.
    """
    try:
        text = os.environ.get(REQUEST_VARIABLE) or sys.stdin.read()
        request = StoreRequest.model_validate_json(text)
        units = [*request.units, *(unit for word in words for unit in word.split(","))]
        for answer in _answers(request.model_copy(update={"units": units})):
            _say(answer)
    except ValidationError as error:
        return _failed(ExitCode.INVALID_INPUT, f"{REQUEST_VARIABLE}: {error.errors()[0]['msg']}")
    except StageError as error:
        return _failed(error.exit_code, error.message)
    except OSError as error:
        known = from_os_error(error)
        return _failed(known.exit_code, known.message)
    _say(Answer(done=True))
    return ExitCode.DONE


def _answers(request: StoreRequest) -> Iterator[Answer]:
    store = Store(request.store)
    if request.action == "list":
        yield from (Answer(kept=one) for one in census(store))
    elif request.action == "verify":
        yield from (Answer(kept=one) for one in verified(store, request.units))
    else:
        yield from _cleared(store, request)


def _cleared(store: Store, request: StoreRequest) -> Iterator[Answer]:
    for one in doomed(store, set(request.units), request.before):
        if not request.dry_run:
            for path in one.paths:
                store.remove(path)
            store.remove_empty("/".join(one.paths[0].split("/")[:2]))
        yield Answer(cleared=Cleared(name=one.name, files=len(one.paths), bytes=one.bytes))


def _say(answer: Answer) -> None:
    text = answer.model_dump_json(by_alias=True, exclude_none=True)
    print(f"{LINE_PREFIX}{text}", flush=True)  # noqa: T201


def _failed(code: ExitCode, why: str) -> ExitCode:
    _say(Answer(failed=why, retryable=code is ExitCode.RETRYABLE))
    return code
