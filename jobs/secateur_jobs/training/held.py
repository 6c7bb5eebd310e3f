"""Training items that no training sees: what is chosen on the way to a result is chosen on them.

The evaluation set judges the result, and a set that has chosen flatters what it chose.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from secateur_api.results import Held
from secateur_api.spec import Evaluation
from secateur_jobs.measure.statistics import relative_drop
from secateur_jobs.paddle_env import paddle
from secateur_jobs.runtime.context import StageContext
from secateur_jobs.sources import splits_of
from secateur_jobs.training.answers import has_answers, judged_by
from secateur_jobs.training.batching import ArrayDataset, Part, Steady, read_item
from secateur_jobs.training.evaluate import evaluate_unpruned
from secateur_jobs.training.seeding import generators_kept
from secateur_jobs.training.several_labels import unpack
from secateur_jobs.user_code import Splits

_SHARE = 5
"""One training item of so many is held back, if the evaluation set is as large."""
_LEAST = 50
_SEEN = 0.02
"""A metric that is better by this share on training items than on others: the weights know those items."""
_SO = (
    "so the sensitivity curves and the gate are measured on the evaluation set, and on other data the drop "
    "may be larger"
)


@dataclass(frozen=True)
class Parts:
    """The data of a job as its stages use it."""

    train: paddle.io.Dataset
    """What is trained on, and what criteria and repair look at."""
    held: paddle.io.Dataset | None
    """Other items of the training set; the same in each stage, and at each read. None: none can be held."""
    eval: paddle.io.Dataset

    @property
    def choosing(self) -> paddle.io.Dataset:
        """What curves and gate read."""
        return self.eval if self.held is None else self.held


def hold_back(splits: Splits, seed: int) -> Parts:
    """Hold back a fifth of the training items at random, at most as many as the evaluation set has.

    None where that is too few, or their labels have another form than those that the metric is made for.
    """
    if shortage(splits):
        return Parts(splits.train, None, splits.eval)
    train = splits.train
    order = np.random.default_rng(seed).permutation(len(train))
    count = _count(splits)
    steady = train if isinstance(train, ArrayDataset) else Steady(train)
    return Parts(Part(train, np.sort(order[count:])), Part(steady, np.sort(order[:count])), splits.eval)


def parts_of(context: StageContext) -> Parts:
    """Return the data of a stage that follows preflight, which found whether items can be held back."""
    splits = splits_of(context)
    if context.preflight().held is None:
        return Parts(splits.train, None, splits.eval)
    return hold_back(splits, context.request.spec.seed)


def shortage(splits: Splits) -> str:
    """Say why no training items can be held back; nothing where they can."""
    if _count(splits) < _LEAST:
        return (
            f"the training set has {len(splits.train)} items, too few to hold some back to choose by "
            f"({_SHARE * _LEAST} are needed), {_SO}"
        )
    if has_answers(splits.train):
        return ""
    with generators_kept():
        train, judging = (_form(read_item(dataset, 0)[-1]) for dataset in (splits.train, splits.eval))
    if train != judging:
        return (
            f"labels of the training set ({train}) have another form than the evaluation set's ({judging}), "
            f"{_SO}"
        )
    return ""


def measure(
    net: paddle.nn.Layer, splits: Splits, evaluation: Evaluation, seed: int, metric: float, trained_here: bool
) -> tuple[Held | None, str]:
    """Return the unpruned net's metric on the held-back items, or why they are not used to choose.

    ``metric`` is its metric on the evaluation set. Weights that were ``trained_here`` have not seen them.
    """
    parts = hold_back(splits, seed)
    if parts.held is None:
        return None, shortage(splits)
    found = evaluate_unpruned(net, parts.held, evaluation)
    if judged_by(parts.held, evaluation) != evaluation:
        return Held(metric=found, samples=len(parts.held), by_agreement=True), ""
    if found == 0:
        return (
            None,
            f"{evaluation.metric} is 0 on the held-back training items, from which nothing can drop, {_SO}",
        )
    if not trained_here and relative_drop(found, metric, evaluation.goal) > _SEEN:
        return None, (
            f"{evaluation.metric} is {found:.4g} on {len(parts.held)} training items and {metric:.4g} on the "
            f"evaluation set: the weights know the former, and every cut would seem to lose that, {_SO}"
        )
    return Held(metric=found, samples=len(parts.held)), ""


def _count(splits: Splits) -> int:
    return min(len(splits.train) // _SHARE, max(len(splits.eval), _LEAST))


def _form(labels: np.ndarray) -> str:
    return ", ".join(f"{list(part.shape)} {part.dtype}" for part in unpack(labels))
