"""The tables: what each arm keeps, how far ours are ahead, and what sensitivity takes."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

from tests.bench.engine import paddleslim, secateur
from tests.bench.engine.result import Result
from tests.bench.engine.statistics import paired_interval, spread

Results = Mapping[str, Mapping[str, Mapping[int, Result]]]
"""By net, arm and seed."""

_ARM_COLUMNS = [
    *("net", "arm", "seeds", "baseline %", "raw %", "repaired %", "final %"),
    *("kept %", "MACs cut %", "x86 p50 speed-up"),
]

_ENOUGH = 0.475
"""Least mean share of the MACs that an arm has to cut to be compared with: some stop far from the 50 %."""


def tables(results: Results) -> str:
    """Return all tables as Markdown."""
    return "\n\n".join([_arms(results), _ahead(results), _seconds(results)])


def _arms(results: Results) -> str:
    rows = []
    for net, arms in results.items():
        for arm, by_seed in arms.items():
            found = list(by_seed.values())
            repaired = [r.repaired for r in found if r.repaired is not None]
            rows.append(
                [
                    net,
                    arm,
                    str(len(found)),
                    spread([r.baseline for r in found], 100),
                    spread([r.raw for r in found], 100),
                    spread(repaired, 100) if repaired else "",
                    spread([r.final for r in found], 100),
                    spread([r.kept for r in found], 100),
                    spread([r.cut for r in found], 100),
                    spread([r.speedup for r in found], 1, 2),
                ]
            )
    return _table(_ARM_COLUMNS, rows)


def _ahead(results: Results) -> str:
    """Compare each of our arms with PaddleSlim's best: the most accuracy kept of those that cut enough."""
    rows = []
    for net, arms in results.items():
        theirs = [arm for arm in arms if arm in paddleslim.ARMS and _mean_cut(arms[arm]) >= _ENOUGH]
        if not theirs:
            continue
        best = max(theirs, key=lambda arm: statistics.mean(r.kept for r in arms[arm].values()))
        for arm in (a for a in arms if a in secateur.ARMS):
            seeds = sorted(set(arms[arm]) & set(arms[best]))
            if not seeds:
                continue
            ours, other = ([arms[a][seed].kept for seed in seeds] for a in (arm, best))
            interval = paired_interval(ours, other)
            shown = "one seed" if interval is None else f"{100 * interval[0]:+.1f}..{100 * interval[1]:+.1f}"
            mean = 100 * (statistics.mean(ours) - statistics.mean(other))
            rows.append([net, arm, best, str(len(seeds)), f"{mean:+.1f}", shown])
    return _table(["net", "arm", "PaddleSlim's best", "seeds", "kept, points ahead", "95 % interval"], rows)


def _mean_cut(by_seed: Mapping[int, Result]) -> float:
    return statistics.mean(r.cut for r in by_seed.values())


def _seconds(results: Results) -> str:
    rows = []
    for net, arms in results.items():
        measured = {
            arm: [r for r in by_seed.values() if r.sensitivity_seconds is not None]
            for arm, by_seed in arms.items()
        }
        theirs = _mean_seconds(next((measured[a] for a in paddleslim.ARMS if measured.get(a)), []))
        for arm, found in measured.items():
            if not found:
                continue
            seconds = _mean_seconds(found)
            times = f"{theirs / seconds:.1f}" if theirs is not None and seconds else ""
            rows.append([net, arm, str(found[0].evaluations), f"{seconds:.1f}", times])
    return _table(["net", "arm", "points", "sensitivity, seconds", "times as fast as PaddleSlim"], rows)


def _mean_seconds(found: Sequence[Result]) -> float | None:
    seconds = [r.sensitivity_seconds for r in found if r.sensitivity_seconds is not None]
    return statistics.mean(seconds) if seconds else None


def _table(columns: list[str], rows: list[list[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
