"""What measuring points takes: net, engine, data and calibration of one job, each made when first needed."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from secateur_jobs import checkpoint
from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning.calibration import Calibration
from secateur_jobs.pruning.criteria.select import criterion_function
from secateur_jobs.pruning.engine import ChannelGroup, PruningEngine
from secateur_jobs.pruning.engines import make_engine
from secateur_jobs.pruning.sensitivity.sweep import Cut
from secateur_jobs.runtime.context import StageContext
from secateur_jobs.training.batching import gather
from secateur_jobs.training.held import Parts, parts_of
from secateur_jobs.training.seeding import seed_everything


@dataclass
class Workbench:
    """The unpruned net of a job's preflight, and cuts of its groups."""

    context: StageContext
    _scores: dict[str, np.ndarray] = field(default_factory=dict)

    def cut(self, group: str, ratio: float) -> Cut:
        """Return the cut of a share of a group's channels, the ones that the job's criterion puts last."""
        found = self._groups[group]
        if group not in self._scores:
            criterion = criterion_function(self.context.request.spec.pruning.criterion)
            self._scores[group] = criterion(self.net, found, self.calibration)
        return Cut.of(found, ratio, self._scores[group])

    @cached_property
    def net(self) -> paddle.nn.Layer:
        """The unpruned net; its parameters are named as in a process that builds nothing else."""
        seed_everything(self.context.request.spec.seed)
        preflight = self.context.upstream("preflight")
        with paddle.utils.unique_name.guard():
            content = self.context.store.unit_file(preflight, "checkpoint")
            return checkpoint.from_bytes(content, self.context.request.spec.model)

    @cached_property
    def engine(self) -> PruningEngine:
        """The job's engine on the unpruned net."""
        spec = self.context.request.spec
        labels = gather(self.parts.train, [0])[-1]
        return make_engine(spec.pruning.engine, self.net, spec.model.inputs, labels)

    @cached_property
    def _groups(self) -> dict[str, ChannelGroup]:
        return {group.name: group for group in self.engine.groups}

    @cached_property
    def parts(self) -> Parts:
        """The data, and what of it chooses."""
        return parts_of(self.context)

    @cached_property
    def calibration(self) -> Calibration:
        """Training samples for the criterion."""
        spec = self.context.request.spec
        return Calibration(self.net, self.parts.train, spec.evaluation, spec.seed)
