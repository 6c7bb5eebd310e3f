"""The engine beside PaddleSlim: ``python -m tests.bench.engine [--mnist FILE.npz] [--seeds N]``.

For each net and seed a baseline is trained, and every arm prunes it to half of its MACs and trains on 20 % of
the data for 2 epochs. What is finished is kept below ``--home``: an interrupted run goes on where it was.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from tests.bench.engine import paddleslim, secateur
from tests.bench.engine.baseline import Baseline, prepare
from tests.bench.engine.cases import CASES
from tests.bench.engine.report import tables
from tests.bench.engine.result import Result, kept_or_made

ALL_ARMS = [*paddleslim.ARMS, *secateur.ARMS]
_QUICK = ["PaddleSlim uniform", secateur.MAIN]


def measure(arm: str, base: Baseline) -> Result:
    """Return the result of an arm on a baseline, kept or made now."""
    name = re.sub(r"\W+", "-", arm).lower()
    path = base.home / "results" / f"{base.name}-{name}.json"
    if arm in paddleslim.ARMS:
        return kept_or_made(path, lambda: paddleslim.run(paddleslim.ARMS[arm], base))
    return kept_or_made(path, lambda: secateur.run(secateur.ARMS[arm], base))


def main() -> None:
    """Measure what is not kept yet, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mnist", help="an .npz with uint8 images and labels; else scikit-learn's digits")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--nets", nargs="*", default=list(CASES), choices=list(CASES))
    parser.add_argument("--arms", nargs="*", default=ALL_ARMS, choices=ALL_ARMS)
    parser.add_argument("--home", type=Path, default=Path(".secateur/bench/engine"))
    parser.add_argument("--quick", action="store_true", help="one seed, one arm of each side")
    options = parser.parse_args()
    seeds, arms = (1, _QUICK) if options.quick else (options.seeds, options.arms)
    results: dict[str, dict[str, dict[int, Result]]] = {}
    for net in options.nets:
        for seed in range(seeds):
            base = prepare(net, CASES[net], seed, options.mnist, options.home)
            print(f"{net}, seed {seed}: baseline {100 * base.metric:.1f} %, {base.macs:,} MACs", flush=True)
            for arm in arms:
                result = measure(arm, base)
                results.setdefault(net, {}).setdefault(arm, {})[seed] = result
                print(f"  {arm}: {100 * result.kept:.1f} % kept, {result.speedup:.2f}x", flush=True)
    print(f"\n{tables(results)}")


if __name__ == "__main__":
    main()
