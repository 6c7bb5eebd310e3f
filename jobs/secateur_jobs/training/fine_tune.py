"""How a cut net recovers by training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from secateur_api.spec import Evaluation, FineTune
from secateur_jobs.paddle_env import paddle
from secateur_jobs.training.answers import judged_by
from secateur_jobs.training.batching import gather
from secateur_jobs.training.batchnorm import recalibrate
from secateur_jobs.training.early_stop import NONE_HELD, Watch, no_effect
from secateur_jobs.training.evaluate import evaluate
from secateur_jobs.training.features import NONE_FOUND, comparable_layers
from secateur_jobs.training.held import Parts
from secateur_jobs.training.metrics import sample_scores
from secateur_jobs.training.parallel.group import Follower, Leader
from secateur_jobs.training.parallel.team import ALONE, Team
from secateur_jobs.training.step import ON_CPU, on_gpu
from secateur_jobs.training.train import train

_RECALIBRATION_BATCHES = 16
_RECALIBRATION_BATCH_SIZE = 64


@dataclass
class Recovery:
    """What came of a fine-tuning; one entry per epoch that was run."""

    losses: list[float] = field(default_factory=list)
    """Mean training loss."""
    metrics: list[float] = field(default_factory=list)
    """Metric on the items that choose (``Parts.choosing``)."""
    notes: list[str] = field(default_factory=list)
    """What a person should know: options without effect, an early stop."""


@dataclass
class FineTuning:
    """The fine-tuning of one round; a follower does the same steps, and what the leader decides."""

    settings: FineTune
    evaluation: Evaluation
    net: paddle.nn.Layer
    teacher: paddle.nn.Layer
    parts: Parts
    seed: int
    baseline: float
    """The unpruned model's metric on the items that choose."""
    metric: float | None
    """The net's metric before any training, where it is known."""
    progress: Callable[[float, str, float | None], None]
    """Is told the percentage of the round, what is done, and the newest metric."""
    group: Leader | Follower | None = None
    """The other processes, if there are any."""
    recovery: Recovery = field(default_factory=Recovery)
    _watch: Watch | None = None

    def run(self) -> Recovery:
        """Train the net in place; its last (or averaged) weights are kept, normalisations recalibrated."""
        settings = self.settings
        if settings.epochs == 0:
            return self.recovery
        team: Team = self.group.team if self.group is not None else ALONE
        on_epoch = partial(self._follow, self.group) if isinstance(self.group, Follower) else self._on_epoch
        if settings.amp and not on_gpu():
            self.recovery.notes.append(ON_CPU)
        self._watch = self._new_watch()
        features = self._features()
        if self.group is not None:
            self.group.get_ready()
        self.recovery.losses = train(
            self.net,
            self.parts.train,
            judged_by(self.parts.train, self.evaluation),
            epochs=settings.epochs,
            learning_rate=settings.learning_rate,
            batch_size=settings.batch_size,
            fraction=settings.data_fraction,
            seed=self.seed,
            teacher=self.teacher,
            distillation=settings.distillation,
            features=features,
            clip=settings.clip,
            ema=settings.ema,
            amp=settings.amp,
            team=team,
            on_batch=self._on_batch,
            on_epoch=on_epoch,
        )
        return self.recovery

    def _features(self) -> list[str]:
        if self.settings.distillation.features == 0:
            return []
        *inputs, _ = gather(self.parts.train, [0, 1] if len(self.parts.train) > 1 else [0])
        found = comparable_layers(self.net, self.teacher, inputs)
        if not found:
            self.recovery.notes.append(NONE_FOUND)
        return found

    def _new_watch(self) -> Watch | None:
        """Return the early stop with its first look taken; followers do as the leader says."""
        settings, evaluation = self.settings, judged_by(self.parts.choosing, self.evaluation)
        if settings.early_stop is None or isinstance(self.group, Follower):
            return None
        scores, held = sample_scores(evaluation), self.parts.held
        if scores is None or held is None:
            self.recovery.notes.append(no_effect(evaluation) if scores is None else NONE_HELD)
            return None
        watch = Watch(settings.early_stop, evaluation, scores, held, self.baseline)
        watch.look(self.net)
        return watch

    def _on_batch(self, done: int, total: int) -> None:
        epochs = self.settings.epochs
        epoch = (done - 1) * epochs // total + 1
        self.progress(15 + 83 * done / total, f"fine-tune epoch {epoch}/{epochs}", self.metric)

    def _on_epoch(self, epoch: int, loss: float) -> bool:
        # few steps do not bring slow running averages (MobileNetV3: momentum 0.99) to the new weights
        recalibrate(self.net, self.parts.train, _RECALIBRATION_BATCHES, _RECALIBRATION_BATCH_SIZE, self.seed)
        self.metric = evaluate(self.net, self.parts.choosing, self.evaluation)
        self.recovery.metrics.append(self.metric)
        stops = self._stops(epoch)
        if isinstance(self.group, Leader):
            self.group.tell(stop=stops, metric=self.metric)
        return stops

    def _stops(self, epoch: int) -> bool:
        epochs = self.settings.epochs
        bound = self._watch.look(self.net) if self._watch is not None else None
        if bound is None or epoch == epochs:
            return False
        text = f"fine-tuning stopped after epoch {epoch} of {epochs}"
        self.progress(98, text, self.metric)
        self.recovery.notes.append(f"{text}: its gain is surely below {max(bound, 0):.4f}")
        return True

    def _follow(self, follower: Follower, epoch: int, loss: float) -> bool:
        said = follower.hear()
        self.metric = said["metric"]
        return bool(said["stop"])
