"""Do once, in seconds, what the stages that follow do for hours: whatever fails there is said before.

In the order in which it is cheapest to know. The factory must give the same network each time, and give it
whole, since every stage builds it anew. One training step with the user's loss runs on a network that is
thrown away. A network is kept as its tensors, and what comes back from them must be the same network. Before
it is trained, it is converted, and what comes out is run; nothing is kept.
"""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from secateur_api.conditions import Reason
from secateur_api.spec import Backend, Distillation, Evaluation, Model, PruningJobSpec
from secateur_jobs import checkpoint
from secateur_jobs.conversion import toolchain
from secateur_jobs.conversion.batches import Batch
from secateur_jobs.conversion.convert import convert_to
from secateur_jobs.conversion.converted import ConvertedModel
from secateur_jobs.conversion.rewriting import export_rewritten, for_export
from secateur_jobs.explain import RAISED, raised, some
from secateur_jobs.graph.network import GraphNetwork
from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning.engine import ChannelGroup, PruningEngine, first_channels
from secateur_jobs.pruning.widths import MAX_RATIO, kept_width
from secateur_jobs.runtime.errors import InvalidInput, StageError
from secateur_jobs.training.answers import judged_by
from secateur_jobs.training.batching import gather
from secateur_jobs.training.distillation import distiller_of
from secateur_jobs.training.features import comparable_layers
from secateur_jobs.training.forward import eval_mode, forward
from secateur_jobs.training.parallel.rendezvous import address_of
from secateur_jobs.training.parallel.team import ALONE
from secateur_jobs.training.seeding import generators_kept
from secateur_jobs.training.step import Precision, Step, check_loss, make_optimizer
from secateur_jobs.user_code import Splits, build_model

Shapes = dict[str, list[int]]


def check_repeatable(net: paddle.nn.Layer, model: Model) -> None:
    """Build a second network and compare it with ``net``, which was just built and has not been run.

    Raises InvalidInput(FACTORY_FAILED) if a parameter or buffer has another name or shape, or is the same.
    """
    if model.exported is not None:  # files are not random
        return
    again = build_model(model)
    own = {id(parameter) for parameter in net.parameters()}
    shared = [name for name, parameter in again.named_parameters() if id(parameter) in own]
    if shared:
        raise _refused(
            model,
            f"gives the same network each time ({shared[0]} is one tensor in both); "
            "build a new one at each call",
        )
    one, other = shapes_of(net), shapes_of(again)
    differing = [
        f"{name} is {_shown(one, name)} the first time, {_shown(other, name)} the second"
        for name in dict.fromkeys([*one, *other])
        if one.get(name) != other.get(name)
    ]
    if differing:
        raise _refused(
            model,
            f"is not repeatable: {some(differing, '; ', 2)}; it must build the same network from the same "
            "arguments each time (a common cause: a default argument, such as a list, that is changed)",
        )


def check_made_in_init(net: paddle.nn.Layer, built: Shapes, model: Model, when: str) -> None:
    """Compare a network that has been run with the shapes that it was ``built`` with.

    ``when`` says what it has done since. Raises InvalidInput(FACTORY_FAILED) naming what came or went.
    """
    now = shapes_of(net)
    late = [name for name in now if now[name] != built.get(name)]
    gone = [name for name in built if name not in now]
    if late:
        raise _refused(
            model,
            f"{_layers(late)} made or changed {when}; make all layers, parameters and buffers in __init__, "
            "from where a saved network is filled again",
        )
    if gone:
        raise _refused(
            model,
            f"{_layers(gone)} removed {when}; keep them, and merge branches in a network of its own, after "
            "the pruning or before it in the factory",
        )


def shapes_of(net: paddle.nn.Layer) -> Shapes:
    """Return the shape of every parameter and buffer by its structured name."""
    return {name: list(tensor.shape) for name, tensor in net.state_dict().items()}


def _shown(shapes: Shapes, name: str) -> str:
    return str(shapes[name]) if name in shapes else "not there"


def _layers(names: list[str]) -> str:
    layers = list(dict.fromkeys(name.rpartition(".")[0] or name for name in names))
    return f"{some([repr(layer) for layer in layers], limit=3)} {'is' if len(layers) == 1 else 'are'}"


def _refused(model: Model, what: str) -> InvalidInput:
    return InvalidInput(Reason.FACTORY_FAILED, f"{model.origin_field}: {model.origin}: {what}")


_SAMPLES = 8
_LEARNING_RATE = 0.001  # large enough for every weight that has a gradient to move


def check_step(
    net: paddle.nn.Layer,
    teacher: paddle.nn.Layer | None,
    spec: PruningJobSpec,
    dataset: paddle.io.Dataset,
    batch_size: int,
) -> None:
    """Train ``net`` (a copy) by one step on up to eight first samples; with a ``teacher`` as a round does.

    Raises InvalidInput: FACTORY_FAILED if forward, loss or gradient raise, if no weight moves, or layers are
    made meanwhile; TRAINING_DIVERGED if the loss is not finite; DATASET_INVALID.
    """
    batch = gather(dataset, range(min(_SAMPLES, batch_size, len(dataset))))
    evaluation = judged_by(dataset, spec.evaluation)
    built = shapes_of(net)
    before = {name: p.numpy() for name, p in _trained(net)}
    net.train()
    try:
        loss = _take(net, teacher, spec.fine_tune.distillation, evaluation, batch)
    except StageError:
        raise
    except RAISED as error:
        raise InvalidInput(
            Reason.FACTORY_FAILED,
            f"{spec.model.origin_field}: one training step of {spec.model.origin} with loss "
            f"{evaluation.loss} raised {raised(error)}",
        ) from error
    check_loss(loss, evaluation, "spec.fineTune", _LEARNING_RATE, 0, 0)
    check_made_in_init(net, built, spec.model, "in training")
    if all(np.array_equal(before[name], p.numpy()) for name, p in _trained(net)):
        raise InvalidInput(
            Reason.FACTORY_FAILED,
            f"spec.evaluation.loss: a training step with {evaluation.loss} moves no weight of "
            f"{spec.model.origin}; the loss must be computed from the outputs by Paddle's operators (no "
            ".numpy(), no detach), and parameters need stop_gradient=False",
        )


def _take(
    net: paddle.nn.Layer,
    teacher: paddle.nn.Layer | None,
    settings: Distillation,
    evaluation: Evaluation,
    batch: list[np.ndarray],
) -> float:
    features = list[str]()
    if teacher is not None and settings.features > 0:
        features = comparable_layers(net, teacher, batch[:-1])
        net.train()
    with distiller_of(net, teacher, evaluation, settings, features) as distiller:
        optimizer = make_optimizer(net, _LEARNING_RATE, 1, None)
        return Step(net, evaluation, optimizer, distiller, Precision(mixed=False), ALONE)(batch, 1.0)


def _trained(net: paddle.nn.Layer) -> list[tuple[str, paddle.Tensor]]:
    """Return what a step moves: not the running averages of normalisations, which Paddle calls parameters."""
    return [(name, p) for name, p in net.named_parameters() if not p.stop_gradient]


_SAME = 1e-4


def check_kept(net: paddle.nn.Layer, model: Model, inputs: Sequence[np.ndarray]) -> paddle.nn.Layer:
    """Save and reload an uncut network that has been run; return what was reloaded, in evaluation mode.

    ``inputs`` are a batch. Raises InvalidInput(FACTORY_FAILED) if layers were made or removed since it was
    built, or if the reloaded one answers otherwise: then something in ``forward`` is no parameter or buffer.
    """
    if not isinstance(net, GraphNetwork):  # made whole; what it is of has been looked at
        check_made_in_init(net, shapes_of(build_model(model)), model, "by eval() or at the first forward")
    reloaded = checkpoint.from_bytes(checkpoint.to_bytes(net, model), model)
    before, again, after = _run(net, inputs), _run(net, inputs), _run(reloaded, inputs)
    for name, wanted in before.items():
        if _differs(wanted, again[name]):  # random at inference: nothing can be told
            continue
        if name not in after or _differs(wanted, after[name]):
            raise InvalidInput(
                Reason.FACTORY_FAILED,
                f"{model.origin_field}: {model.origin}: output {name} is another one after the network is "
                "saved and loaded; something that forward uses is no parameter or buffer: make it one "
                "(self.register_buffer)",
            )
    return reloaded


def _run(net: paddle.nn.Layer, inputs: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    with eval_mode(net), paddle.no_grad():
        return forward(net, inputs).arrays().tensors


def _differs(one: np.ndarray, other: np.ndarray) -> bool:
    if one.shape != other.shape:
        return True
    scale = float(np.nanmax(np.abs(one.astype(np.float64)), initial=0.0))
    scale = scale if np.isfinite(scale) else 0.0
    return not np.allclose(one, other, rtol=_SAME, atol=_SAME * scale, equal_nan=True)


def check_conversion(net: paddle.nn.Layer, spec: PruningJobSpec, sample: Batch, scratch: Path) -> None:
    """Convert to every target of ``spec.convert`` and run one batch where this machine can.

    The numbers are not looked at: an untrained network's may be degenerate. Raises InvalidInput:
    TOOLCHAIN_MISSING, CONVERSION_UNSUPPORTED; Retryable for a fault.
    """
    toolchain.require(spec.convert)
    with tempfile.TemporaryDirectory(dir=scratch) as name:
        folder = Path(name)
        exported = export_rewritten(net, spec.model, folder)
        for target in spec.convert:
            path = convert_to(exported, target, folder)
            if target.backend is not Backend.ARM:
                with ConvertedModel(path, spec.model.inputs, folder) as model:
                    model.run(sample)


_NARROWED = "the network was narrowed by then: take widths from its layers"


def check_rewritten(
    engine: PruningEngine, groups: Sequence[ChannelGroup], spec: PruningJobSpec, sample: Batch
) -> None:
    """Do to a narrowed network what ``spec.model.beforeExport`` does, as the rounds will leave it to be done.

    ``engine`` has the uncut network, which stays as it is. Raises InvalidInput(FACTORY_FAILED).
    """
    if spec.model.before_export is None:
        return
    widths = {group.name: kept_width(group.channels, MAX_RATIO, group.step(1)) for group in groups}
    engine.cut(first_channels(groups, widths))
    try:
        before, after = _run(engine.net, sample), _run(for_export(engine.net, spec.model), sample)
    except InvalidInput as error:
        raise InvalidInput(error.reason, f"{error.message}; {_NARROWED}") from error
    finally:
        engine.restore()
    for name, wanted in before.items():
        if name not in after or _differs(wanted, after[name]):
            field = f"spec.model.beforeExport: {spec.model.before_export}"
            raise InvalidInput(
                Reason.FACTORY_FAILED, f"{field} changes the answers (output {name}); {_NARROWED}"
            )


def rehearse(
    net: paddle.nn.Layer, teacher: paddle.nn.Layer | None, spec: PruningJobSpec, splits: Splits
) -> None:
    """Save and reload ``net``, uncut and checked with its data, and train the copy as later stages will.

    ``teacher`` is the one that the spec names; None: the unpruned network. The network, its gradients and the
    random generators stay as they are. Raises InvalidInput.
    """
    with generators_kept():
        if spec.fine_tune.workers > 1:
            address_of(socket.gethostname())
        inputs: list[np.ndarray] = gather(splits.eval, [0])[:-1]
        copy = check_kept(net, spec.model, inputs)
        if spec.model.pretrain is not None:
            check_step(copy, None, spec, splits.train, spec.model.pretrain.batch_size)
        if spec.fine_tune.epochs > 0:
            unpruned = net if teacher is None else teacher
            check_step(copy, unpruned, spec, splits.train, spec.fine_tune.batch_size)
