"""Stage preflight: find out in minutes whether a job can work, before hours are spent on it."""

from __future__ import annotations

from collections.abc import Sequence

from secateur_api.conditions import Reason
from secateur_api.results import (
    ConvertOutcome,
    Depths,
    LatencyTable,
    ModelNumbers,
    PreflightOutcome,
    StageOutcome,
)
from secateur_api.sources import Sources
from secateur_api.spec import CutAs, PruningJobSpec, SensitivityMode
from secateur_jobs import checkpoint
from secateur_jobs.conversion import rewriting, toolchain
from secateur_jobs.conversion.batches import Batch, first_batches
from secateur_jobs.conversion.convert import convert_model
from secateur_jobs.data.check import check_data
from secateur_jobs.data.codeless import notes_of
from secateur_jobs.forms import Chosen, Wish, choose
from secateur_jobs.graph.of_module import ModuleGraph
from secateur_jobs.measure.statistics import check_drop_is_told
from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning.allocation import open_groups
from secateur_jobs.pruning.criteria import criterion_function
from secateur_jobs.pruning.engine import ChannelGroup, PruningEngine
from secateur_jobs.pruning.layers import cuttable_layers
from secateur_jobs.pruning.sensitivity.bounded import scores_of
from secateur_jobs.pruning.sensitivity.replay import behind
from secateur_jobs.pruning.survey import Survey, allowed
from secateur_jobs.rehearsal import check_conversion, check_repeatable, check_rewritten, rehearse
from secateur_jobs.runtime.context import StageContext
from secateur_jobs.runtime.errors import InvalidInput
from secateur_jobs.sources import FILE, cannot_tell, refuse_change, refuse_edited
from secateur_jobs.stages.latency import latency_table
from secateur_jobs.training.answers import answered, form_of_answers, judged_by, note_of_form
from secateur_jobs.training.batching import gather, is_unlabelled
from secateur_jobs.training.drift import note_of
from secateur_jobs.training.evaluate import evaluate_unpruned
from secateur_jobs.training.held import measure as measure_held
from secateur_jobs.training.losses import check_loss_exists
from secateur_jobs.training.reading import in_order
from secateur_jobs.training.seeding import generators_kept, seed_everything
from secateur_jobs.training.teacher import check_teaching, load_teacher
from secateur_jobs.user_code import Splits, build_model
from secateur_jobs.weights import load_weights


def run(context: StageContext) -> StageOutcome:
    """Measure the unpruned model, find what can be cut, and convert and run the unpruned model.

    Commits ``checkpoint`` (the unpruned net), ``groups`` (GroupTable), where sensitivity follows ``depths``
    (Depths), and ``artifacts`` (ConvertOutcome, role baseline, with the model files).
    """
    spec = context.request.spec
    context.progress(1, "load the model")
    _check_parts(spec)
    sources = _sources(context)
    seed_everything(spec.seed)
    net = _unpruned(context)
    teacher = load_teacher(spec, net)  # refused before hours of sensitivity, not after
    context.progress(5, "check the data")
    splits, notes = _data(context, net)
    outputs = check_data(net, splits, spec.model, spec.evaluation, spec.data.origin_field)
    if teacher is not None:
        in_training = judged_by(splits.train, spec.evaluation)
        check_teaching(net, teacher, gather(splits.train, [0]), in_training)
    context.progress(7, "rehearse what follows")
    rehearse(net, teacher, spec, splits)
    context.progress(10, "evaluate the unpruned model")
    metric = evaluate_unpruned(net, splits.eval, spec.evaluation)
    check_drop_is_told(metric, spec.evaluation)
    trained_here = context.request.upstream.pretrain is not None
    held, why_none = measure_held(net, splits, spec.evaluation, spec.seed, metric, trained_here)
    samples = first_batches(splits.eval, spec.model.inputs)
    artifacts = convert_model(net, spec, "baseline", context, samples, span=(12, 25))
    chosen = _chosen(context, net, teacher, splits, samples[0], metric)
    net, counts = chosen.net, chosen.counts  # of the baseline all but the groups is known by now
    content = checkpoint.to_bytes(net, spec.model)
    found = _allowed(context, chosen, len(content), samples[0])
    context.put("checkpoint", "checkpoint.safetensors", content)
    groups = found.table.groups
    needs_sensitivity = spec.pruning.target is not None and bool(open_groups(groups))
    if needs_sensitivity:
        batch = next(in_order(splits.eval, spec.evaluation.batch_size))
        depths = behind(net, {group.name: group.consumers for group in groups}, batch[:-1])
        context.put_json("depths", Depths(behind=depths))
    context.put_json(FILE, sources)
    context.put_json("groups", found.table)
    context.put_json("artifacts", ConvertOutcome(artifacts=artifacts))
    return StageOutcome(
        preflight=PreflightOutcome(
            baseline=ModelNumbers(metric=metric, macs=counts.macs, params=counts.params),
            held=held,
            groups=len(groups),
            layers=len(cuttable_layers(net)),
            refused=len(found.table.refused),
            reachable=found.reachable,
            checkpoint_bytes=len(content),
            needs_sensitivity=needs_sensitivity,
            engine=found.table.engine,
            cut_as=chosen.cut_as,
            notes=[
                *notes,
                *note_of(outputs, spec.evaluation),
                *chosen.notes,
                *found.notes,
                *rewriting.notes_of(net, counts, spec.model),
                *filter(None, [why_none]),
                *cannot_tell(sources, spec.data.version),
            ],
        )
    )


def _check_parts(spec: PruningJobSpec) -> None:
    """See that what the spec names is there: converters, criterion, loss, scores of the metric."""
    toolchain.require(spec.convert)
    criterion_function(spec.pruning.criterion)
    check_loss_exists(spec.evaluation)
    if spec.pruning.target is not None and spec.sensitivity.mode is SensitivityMode.BOUNDED:
        scores_of(spec.evaluation)


def _chosen(
    context: StageContext,
    net: paddle.nn.Layer,
    teacher: paddle.nn.Layer | None,
    splits: Splits,
    sample: Batch,
    metric: float,
) -> Chosen:
    """Find and prove the groups of the net, or of its graph: of what is cut."""
    spec = context.request.spec

    def on_group(done: int, total: int) -> None:
        context.progress(25 + 50 * done / max(total, 1), f"prove group {done}/{total}", metric)

    def check(graph: ModuleGraph) -> None:
        rehearse(graph, teacher, spec, splits)
        check_conversion(graph, spec, sample, context.scratch)

    *example, labels = gather(splits.train, [0])
    cut_as = spec.model.cut_as if spec.model.before_export is None else CutAs.MODULE  # which that is given
    wish = Wish(cut_as, spec.pruning.engine, spec.model.inputs, labels)
    chosen = choose(net, wish, example, check, on_group)
    check_rewritten(chosen.found.engine, chosen.found.groups, spec, sample)
    return chosen


def _allowed(context: StageContext, chosen: Chosen, checkpoint_bytes: int, sample: Batch) -> Survey:
    """Apply the spec's rules, caps and target to what was found."""
    spec = context.request.spec

    def measure(engine: PruningEngine, groups: Sequence[ChannelGroup]) -> LatencyTable:
        return latency_table(context, engine, groups, sample, span=(75, 99))

    ratios, inputs = spec.sensitivity.ratios, spec.model.inputs
    with chosen.explaining():
        return allowed(chosen.found, spec.pruning, ratios, inputs, chosen.counts, checkpoint_bytes, measure)


def _data(context: StageContext, net: paddle.nn.Layer) -> tuple[Splits, list[str]]:
    """Return the data and notes on them; ``net``, the unpruned model, answers where there are no labels."""
    spec, splits = context.request.spec, context.splits
    notes = notes_of(spec.data, spec.model, splits)
    if spec.has_labels and not is_unlabelled(splits.train):
        return splits, notes
    # another copy: this one is cut and restored while groups are looked for
    unpruned = checkpoint.from_bytes(checkpoint.to_bytes(net, spec.model), spec.model)
    form = form_of_answers(unpruned, splits, spec.evaluation)
    return answered(splits, unpruned, spec.evaluation), [note_of_form(form, spec.evaluation), *notes]


def _sources(context: StageContext) -> Sources:
    """Return what this job's results come from; a baseline that was trained here must come from the same."""
    pretrain, now = context.request.upstream.pretrain, context.read_sources()
    if pretrain is not None:
        refuse_edited(context, pretrain)
        refuse_change(context.store.unit_json(pretrain, FILE, Sources), now)
    return now


def _unpruned(context: StageContext) -> paddle.nn.Layer:
    """Return the unpruned net with its trained weights, in evaluation mode."""
    spec, pretrain = context.request.spec, context.request.upstream.pretrain
    if pretrain is not None:
        return checkpoint.from_bytes(context.store.unit_file(pretrain, "checkpoint"), spec.model)
    if spec.model.weights is None and not spec.model.is_trained:
        raise InvalidInput(Reason.INVALID_SPEC, "spec.model.pretrain: stage pretrain has not been run")
    net = build_model(spec.model)
    with generators_kept():
        check_repeatable(net, spec.model)
    if spec.model.weights is not None:
        load_weights(net, spec.model.weights)
    net.eval()
    return net
