"""Which points there are, and which jobs share them."""

from __future__ import annotations

from secateur_api.results import Group, Held
from secateur_api.sources import Sources, SplitContent
from secateur_api.spec import PruningJobSpec, SensitivityMode
from secateur_jobs.pruning.sensitivity.points import folder_of, points_of


def group(name: str, cap: float = 0.75) -> Group:
    return Group(name=name, channels=64, producers=[name], consumers=[], cap=cap)


def test_points_go_up_to_the_first_ratio_that_covers_the_cap() -> None:
    ratios = [0.5, 0.25, 0.75, 0.9, 0.25]
    assert points_of([group("a"), group("b", cap=0.3)], ratios) == [
        *(("a", r) for r in (0.25, 0.5, 0.75)),
        *(("b", r) for r in (0.25, 0.5)),
    ]


SPLIT = SplitContent(length=1, items={"0": "a"})
SOURCES = Sources(train=SPLIT, eval=SPLIT)


def job(**fields: object) -> PruningJobSpec:
    return PruningJobSpec.model_validate(
        {
            "model": {
                "factory": "a:b",
                "pretrain": {"epochs": 1},
                "inputs": [{"name": "x", "shape": [1, 4]}],
            },
            "data": {"factory": "a:c"},
            "pruning": {"target": {"macs": "30%"}, "criterion": "l1_norm"},
            **fields,
        }
    )


def folder(
    spec: PruningJobSpec | None = None,
    sha256: str = "0" * 64,
    sources: Sources = SOURCES,
    engine: str = "native",
    mode: SensitivityMode = SensitivityMode.EXACT,
    comparisons: int = 9,
    held: int = 240,
) -> str:
    return folder_of(
        spec or job(),
        sha256,
        sources,
        engine,
        mode,
        comparisons,
        Held(metric=0.9, samples=held) if held else None,
    )


def test_points_are_shared_by_what_decides_them_and_nothing_else() -> None:
    target = {"target": {"params": "60%"}, "criterion": "l1_norm", "align": 4}
    same = [
        folder(job(pruning=target)),
        folder(comparisons=18),
        folder(job(sensitivity={"tolerance": 0.02, "shards": 3})),
    ]
    assert {folder(), *same} == {folder()}
    others = [
        folder(sha256="1" * 64),
        folder(sources=SOURCES.model_copy(update={"eval": SplitContent(length=1, items={"0": "b"})})),
        folder(held=0),
        folder(job(fresh="2026-01-31")),
        folder(engine="paddleslim"),
        folder(job(seed=1)),
        folder(job(pruning={"target": {"macs": "30%"}, "criterion": "taylor"})),
        folder(job(sensitivity={"dataFraction": 0.5})),
        folder(job(evaluation={"metric": "top5_accuracy"})),
        folder(job(data={"factory": "a:d"})),
        folder(mode=SensitivityMode.FISHER),
        folder(mode=SensitivityMode.BOUNDED),
        folder(mode=SensitivityMode.BOUNDED, comparisons=18),
        folder(job(sensitivity={"tolerance": 0.02}), mode=SensitivityMode.BOUNDED),
        folder(job(sensitivity={"cap": 0.2}), mode=SensitivityMode.BOUNDED),
    ]
    assert len({folder(), *others}) == len(others) + 1
