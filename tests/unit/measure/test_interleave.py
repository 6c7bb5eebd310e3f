"""The order of timed runs."""

from __future__ import annotations

import numpy as np

from secateur_lite.bench import interleave


def test_runs_alternate_and_each_pair_swaps_its_order() -> None:
    ran: list[str] = []

    def model(name: str):  # type: ignore[no-untyped-def]
        return lambda inputs: ran.append(name) or [np.zeros(1)]

    a, b = interleave(model("a"), model("b"), {}, warmup=2, runs=4, report=lambda _: None)
    assert "".join(ran) == "abab" + "ab" + "ba" + "ab" + "ba"
    assert len(a) == len(b) == 4
    assert min(*a, *b) >= 0
