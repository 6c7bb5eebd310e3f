"""Processes that commit one unit at once, many times, killed at random: how many are whole afterwards.

``python -m tests.bench.commits --store file:///tmp/commits --count 500``
"""

from __future__ import annotations

import argparse
import time

from tests.commits import rounds


def main() -> None:
    """Print the counts and the seconds."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--store", required=True)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    begin = time.monotonic()
    found = rounds(options.store, options.count, processes=options.processes)
    seconds = time.monotonic() - begin
    print(f"{found.whole} of {options.count} whole, {found.killed} killed, in {seconds:.0f} s")


if __name__ == "__main__":
    main()
