"""Compile the modules of a Python tree that are not compiled yet, without time stamps.

So the bytes are the same each time, and a process starts quickly from a read-only root.

PYTHONHASHSEED=0 python environments/compile.py FOLDER [--where PREFIX]
"""

from __future__ import annotations

import argparse
import importlib.util
import py_compile
import re
from pathlib import Path

_NEVER_LOADED = re.compile(r"/kubernetes/(aio/)?client/(api|models)/")
"""Thousands of classes that raw requests do without."""


def compile_missing(folder: Path, where: str) -> None:
    """Write the .pyc of every module in ``folder`` that has none; ``where`` is cut off the names in it.

    A file that is no module (a template, Python 2) is left as it is.
    """
    for source in sorted(folder.rglob("*.py")):
        compiled = Path(importlib.util.cache_from_source(str(source)))
        if compiled.exists() or _NEVER_LOADED.search(source.as_posix()):
            continue
        py_compile.compile(
            str(source),
            str(compiled),
            dfile=str(source).removeprefix(where),
            quiet=2,
            invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
        )


def main() -> None:
    """Compile the folder that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--where", default="", metavar="PREFIX", help="will not be there at run time")
    options = parser.parse_args()
    compile_missing(options.folder, options.where)


if __name__ == "__main__":
    main()
