"""The trained, unpruned net of one case and seed: what all arms start from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from secateur_api.spec import Data, PruningJobSpec
from secateur_api.stage import Stage, Upstream
from secateur_jobs import checkpoint
from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning.macs import count
from secateur_jobs.runtime.store import Store
from secateur_jobs.training.evaluate import evaluate
from secateur_jobs.user_code import Splits, build_model
from tests.bench.engine.cases import Case
from tests.bench.engine.data import splits, write
from tests.bench.engine.stages import run_stage, unit_of


@dataclass(frozen=True)
class Baseline:
    """Where the baseline and its data are kept, below ``home``."""

    name: str
    case: Case
    seed: int
    home: Path
    data: Path
    pretrain: str
    """Unit of the finished stage pretrain."""
    metric: float
    macs: int

    @property
    def store(self) -> Path:
        return self.home / "store"

    @property
    def checkpoint(self) -> Path:
        return checkpoint_of(self.store, self.pretrain)

    @property
    def learning_rate(self) -> float:
        """The peak learning rate that the baseline was trained with."""
        if self.case.model.pretrain is None:
            raise ValueError("a case trains its baseline")
        return self.case.model.pretrain.learning_rate

    @cached_property
    def splits(self) -> Splits:
        return Splits(*splits(str(self.data)))

    def net(self) -> paddle.nn.Layer:
        """Return a new copy of the trained net, in evaluation mode."""
        return checkpoint.load(self.checkpoint, partial(build_model, self.case.model))

    def evaluate(self, net: paddle.nn.Layer) -> float:
        """Return the metric of a net on the evaluation set."""
        return evaluate(net, self.splits.eval, self.case.evaluation)

    def cut_of(self, net: paddle.nn.Layer) -> float:
        """Return the share of the baseline's MACs that a net lacks, counted by running it."""
        return 1 - count(net, self.case.model.inputs).macs / self.macs

    def spec(self, **fields: Any) -> PruningJobSpec:
        """Return a job on this net and data with more fields, in the resource's words."""
        return _spec(self.case, self.data, self.seed, **fields)


def checkpoint_of(store: Path, unit: str) -> Path:
    """Return the file that holds a unit's checkpoint."""
    return store / Store(store.absolute().as_uri()).unit_ref(unit, "checkpoint").path


def prepare(name: str, case: Case, seed: int, mnist: str | None, home: Path) -> Baseline:
    """Make the data and train the baseline, unless ``home`` has them."""
    source = "mnist" if mnist else "sklearn"
    data = (home / "data" / f"{case.data}-{source}-{seed}.npz").resolve()
    if not data.exists():
        write(case.data, mnist, seed, data)
    spec = _spec(case, data, seed, pruning={"target": {"macs": "50%"}})
    unit = unit_of(run_stage(Stage.PRETRAIN, spec, home / "store", Upstream()))
    trained = checkpoint.load(checkpoint_of(home / "store", unit), partial(build_model, case.model))
    metric = evaluate(trained, splits(str(data))[1], case.evaluation)
    macs = count(trained, case.model.inputs).macs
    return Baseline(f"{name}-{source}-{seed}", case, seed, home, data, unit, metric, macs)


def _spec(case: Case, data: Path, seed: int, **fields: Any) -> PruningJobSpec:
    return PruningJobSpec.model_validate(
        {
            "model": case.model.to_wire(),
            "data": Data(factory="tests.bench.engine.data:splits", args={"path": str(data)}).to_wire(),
            "evaluation": case.evaluation.to_wire(),
            "convert": [{"format": "paddle-lite", "backend": "x86"}],
            "seed": seed,
            **fields,
        }
    )
