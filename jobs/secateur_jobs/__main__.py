"""``python -m secateur_jobs STAGE``: run one stage; ``store`` keeps a store, ``inspect`` looks at a model."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import NoReturn

from secateur_jobs.runtime.first_process import work_in_a_child


def main() -> int:
    """Run the stage named by the one argument; return its exit code."""
    work_in_a_child()
    # after the fork: the process that stays behind is small
    from secateur_api.stage import Stage
    from secateur_jobs.runtime.process import run_stage
    from secateur_jobs.runtime.users_modules import run_from_source

    if sys.argv[1:2] == ["store"]:
        from secateur_jobs.runtime.storekeeping import keep_store

        return int(keep_store(sys.argv[2:]))
    asks_inspection = sys.argv[1:] == ["inspect"]
    names = [stage.value for stage in Stage]
    if not asks_inspection and (len(sys.argv) != 2 or sys.argv[1] not in names):
        print(f"usage: python -m secateur_jobs {{{','.join(names)}}}", file=sys.stderr)  # noqa: T201
        return 64
    run_from_source()
    if asks_inspection:
        from secateur_jobs.inspection import answer

        return int(answer())
    return int(run_stage(Stage(sys.argv[1])))


def _leave(code: int) -> NoReturn:
    """End the process at once: what user code left behind (threads, exit handlers) must not hold it."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):  # closed, or replaced by user code
            stream.flush()
    os._exit(code)


if __name__ == "__main__":
    _leave(main())
