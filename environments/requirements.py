"""Print what the extras of pyproject.toml ask for, one requirement a line: images install it before our code.

python environments/requirements.py EXTRA... [--without PACKAGE]
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import tomllib


def requirements(project: dict[str, object], extras: list[str], without: str | None) -> list[str]:
    """Return the sorted requirements of a ``project`` table; raises KeyError for an extra that it lacks."""
    optional = project["optional-dependencies"]
    found = set(project["dependencies"]).union(*(optional[extra] for extra in extras))
    return sorted(line for line in found if re.split(r"[^\w.-]", line)[0] != without)


def main() -> None:
    """Read pyproject.toml of the working directory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("extras", nargs="+", metavar="EXTRA")
    parser.add_argument("--without", metavar="PACKAGE", help="leave this package out")
    options = parser.parse_args()
    project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
    print(*requirements(project, options.extras, options.without), sep="\n")  # noqa: T201


if __name__ == "__main__":
    main()
