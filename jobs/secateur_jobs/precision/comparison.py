"""A converted model against the same one with 32-bit weights, sample by sample."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from secateur_api.spec import AnswerForm, Evaluation, InputSpec
from secateur_jobs.conversion.batches import fit
from secateur_jobs.conversion.converted import ConvertedModel
from secateur_jobs.measure.statistics import relative_drop
from secateur_jobs.paddle_env import paddle
from secateur_jobs.precision.change import Change
from secateur_jobs.training.answers import agreement, as_answers, judged_by
from secateur_jobs.training.evaluate import full_batches
from secateur_jobs.training.outputs import Structure, judged_or_all, rebuilt
from secateur_jobs.training.tally import Tally


@dataclass(frozen=True)
class Answers:
    """How a model's outputs are read."""

    inputs: list[InputSpec]
    structure: Structure
    evaluation: Evaluation
    form: AnswerForm


def change(floats: Path, other: Path, answers: Answers, dataset: paddle.io.Dataset, scratch: Path) -> Change:
    """Run both models on the whole data set; raises InvalidInput or Retryable if one cannot be run."""
    inputs, evaluation = answers.inputs, judged_by(dataset, answers.evaluation)
    tallies = Tally(evaluation), Tally(evaluation)
    agreed: list[np.ndarray] = []
    largest = _Largest()
    with (
        ConvertedModel(floats, inputs, scratch) as reference,
        ConvertedModel(other, inputs, scratch) as candidate,
    ):
        for count, columns, labels in full_batches(dataset, inputs[0].shape[0]):
            batch = fit(columns, inputs)
            pair = [
                rebuilt(answers.structure, model.run(batch)).first(count) for model in (reference, candidate)
            ]
            for tally, outputs in zip(tallies, pair, strict=True):
                tally.add(outputs, labels)
            ours, theirs = (outputs.tensors for outputs in pair)
            largest.add(list(ours.values()), list(theirs.values()))
            names = judged_or_all(pair[0], evaluation)
            each = [_agreement(ours[name], theirs[name], evaluation, answers.form) for name in names]
            agreed.append(np.min(each, axis=0))
    before, after = (tally.value() for tally in tallies)
    return Change(
        drop=relative_drop(before, after, evaluation.goal),
        agreement=float(np.concatenate(agreed).mean()),
        max_rel=largest.relative(),
        samples=len(dataset),
    )


def _agreement(ours: np.ndarray, theirs: np.ndarray, evaluation: Evaluation, form: AnswerForm) -> np.ndarray:
    return np.asarray(agreement(theirs, as_answers(ours, evaluation, form), evaluation), np.float64)


class _Largest:
    """The largest difference and value of each output, batch after batch."""

    def __init__(self) -> None:
        self._pairs: dict[int, tuple[float, float]] = {}

    def add(self, ours: Sequence[np.ndarray], theirs: Sequence[np.ndarray]) -> None:
        for index, (mine, other) in enumerate(zip(ours, theirs, strict=True)):
            distance, size = self._pairs.get(index, (0.0, 0.0))
            apart = np.abs(mine.astype(np.float64) - other.astype(np.float64)).max(initial=0.0)
            value = np.abs(mine.astype(np.float64)).max(initial=0.0)
            # max() of a NaN depends on the order
            self._pairs[index] = (float(np.maximum(distance, apart)), float(np.maximum(size, value)))

    def relative(self) -> float:
        found = [apart / size if size else apart for apart, size in self._pairs.values()]
        worst = float(np.max(found, initial=0.0))
        return worst if np.isfinite(worst) else float("inf")
