"""Stage pretrain: train the baseline, so that a job needs no download."""

from __future__ import annotations

from secateur_api.conditions import Reason
from secateur_api.results import PretrainOutcome, StageOutcome
from secateur_api.spec import CutAs, PruningJobSpec
from secateur_jobs import checkpoint
from secateur_jobs.conversion import toolchain
from secateur_jobs.conversion.batches import first_batches
from secateur_jobs.data.check import check_data
from secateur_jobs.forms import asked_graph
from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning.criteria import criterion_function
from secateur_jobs.pruning.layer_rules import check_patterns
from secateur_jobs.pruning.layers import named_layers
from secateur_jobs.rehearsal import check_conversion, check_repeatable, rehearse
from secateur_jobs.runtime.context import StageContext
from secateur_jobs.runtime.errors import InvalidInput
from secateur_jobs.sources import FILE
from secateur_jobs.training.batching import is_unlabelled
from secateur_jobs.training.batchnorm import recalibrate
from secateur_jobs.training.evaluate import evaluate
from secateur_jobs.training.held import hold_back
from secateur_jobs.training.metrics import check_metric
from secateur_jobs.training.seeding import generators_kept, seed_everything
from secateur_jobs.training.teacher import load_teacher
from secateur_jobs.training.train import train
from secateur_jobs.user_code import build_model
from secateur_jobs.weights import load_weights

_RECALIBRATION_BATCHES = 100


def run(context: StageContext) -> StageOutcome:
    """Train as ``spec.model.pretrain`` says, recalibrate, evaluate, and commit the file ``checkpoint``.

    The items that are held back (``training.held``) are not trained on.
    """
    spec = context.request.spec
    settings = spec.model.pretrain
    if settings is None:
        raise InvalidInput(
            Reason.INVALID_SPEC, "spec.model.pretrain: stage pretrain needs it, such as {epochs: 4}"
        )
    seed_everything(spec.seed)
    net = build_model(spec.model)
    with generators_kept():
        check_repeatable(net, spec.model)
    _check_early(spec, net)
    if spec.model.weights is not None:
        load_weights(net, spec.model.weights, fresh=settings.fresh)
    splits = context.splits
    if is_unlabelled(splits.train):
        raise InvalidInput(
            Reason.INVALID_SPEC,
            f"spec.model.pretrain: the training set of {spec.data.origin} has no labels, so no baseline can "
            "be trained; leave pretrain out and give trained weights",
        )
    check_data(net, splits, spec.model, spec.evaluation, spec.data.origin_field)
    if spec.model.cut_as is CutAs.GRAPH:
        asked_graph(net, spec.model.inputs)
    context.progress(1, "rehearse what follows")
    with generators_kept():
        rehearse(net, load_teacher(spec, net), spec, splits)
        sample = first_batches(splits.eval, spec.model.inputs, 1)[0]
        check_conversion(net, spec, sample, context.scratch)

    parts = hold_back(splits, spec.seed)
    metric: float | None = None

    def on_batch(done: int, total: int) -> None:
        epoch = (done - 1) * settings.epochs // total + 1
        context.progress(3 + 95 * done / total, f"pretrain epoch {epoch}/{settings.epochs}", metric)

    def on_epoch(epoch: int, loss: float) -> None:
        nonlocal metric
        metric = evaluate(net, parts.choosing, spec.evaluation)

    train(
        net,
        parts.train,
        spec.evaluation,
        epochs=settings.epochs,
        learning_rate=settings.learning_rate,
        batch_size=settings.batch_size,
        seed=spec.seed,
        on_batch=on_batch,
        on_epoch=on_epoch,
        field="spec.model.pretrain",
    )
    # a net with slow running averages (MobileNetV3: momentum 0.99) is far from them after a short training
    recalibrate(net, parts.train, _RECALIBRATION_BATCHES, settings.batch_size, spec.seed)
    metric = evaluate(net, splits.eval, spec.evaluation)
    context.put("checkpoint", "checkpoint.safetensors", checkpoint.to_bytes(net, spec.model))
    context.put_json(FILE, context.read_sources())
    return StageOutcome(pretrain=PretrainOutcome(metric=metric, epochs=settings.epochs))


def _check_early(spec: PruningJobSpec, net: paddle.nn.Layer) -> None:
    """Refuse before the training, as far as a second can tell, what preflight would refuse after it."""
    toolchain.require(spec.convert)
    criterion_function(spec.pruning.criterion)
    check_metric(spec.evaluation)
    check_patterns(spec.pruning.layers, list(named_layers(net)))
