"""The metric from batch after batch: only what it needs of the outputs is kept."""

from __future__ import annotations

import numpy as np

from secateur_api.conditions import Reason
from secateur_api.spec import Evaluation
from secateur_jobs.runtime.errors import InvalidInput
from secateur_jobs.training.labels import check_labels
from secateur_jobs.training.metrics import built_in_metric, users_metric
from secateur_jobs.training.outputs import Outputs, judged
from secateur_jobs.training.several_labels import given_arrays, judged_labels


class Tally:
    """Takes outputs (arrays) and labels of a data set's batches, in order, and gives the metric."""

    def __init__(self, evaluation: Evaluation) -> None:
        """Raises InvalidInput if the user's metric is not found."""
        self._evaluation, self._built_in = evaluation, built_in_metric(evaluation)
        self._users = users_metric(evaluation) if self._built_in is None else None
        self._kept: list[np.ndarray] = []
        self._outputs: list[Outputs] = []
        self._labels: list[np.ndarray] = []

    def add(self, outputs: Outputs, labels: np.ndarray) -> None:
        """Take a batch; raises InvalidInput for labels that do not fit, or an output that is not named."""
        if self._built_in is None:
            _check_batch(outputs, len(labels), self._evaluation)
            self._outputs.append(outputs)
            self._labels.append(labels)
            return
        output = outputs.tensors[judged(outputs, self._evaluation)]
        wanted = judged_labels(labels, self._evaluation)
        check_labels(output.shape, wanted, self._evaluation)
        self._kept.append(self._built_in.of_samples(output, wanted))

    @property
    def nbytes(self) -> int:
        """What is kept."""
        held = (array for outputs in self._outputs for array in outputs.tensors.values())
        return sum(array.nbytes for array in (*self._kept, *held))

    @property
    def kept(self) -> np.ndarray:
        """What a built-in metric follows from, of every sample in order: [N] or [N...]."""
        return np.concatenate(self._kept)

    def value(self) -> float:
        """Return the metric of all batches."""
        if self._built_in is not None:
            return self._built_in.value(self.kept)
        if self._users is None:
            raise AssertionError("a metric is built in or the user's")
        return self._users(_joined(self._outputs).given, given_arrays(np.concatenate(self._labels)))


def _joined(batches: list[Outputs]) -> Outputs:
    names = batches[0].tensors
    together = {name: np.concatenate([batch.tensors[name] for batch in batches]) for name in names}
    return Outputs(together, batches[0].structure)


def _check_batch(outputs: Outputs, samples: int, evaluation: Evaluation) -> None:
    for name, tensor in outputs.tensors.items():
        if tensor.ndim == 0 or len(tensor) != samples:
            raise InvalidInput(
                Reason.FACTORY_FAILED,
                f"spec.evaluation.metric: {evaluation.metric} is given the outputs of all samples, and "
                f"output {name} has shape {list(tensor.shape)} for {samples} samples: its first axis must be "
                "the batch's",
            )
