"""The content that a job's results come from: sampled data, the user's modules, files of weights.

A unit of the first stages is named by it, and later units name theirs, so that a result is never taken for
one of other content. Later stages look at a few items again.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from secateur_api.conditions import Reason
from secateur_api.sources import Sources, SplitContent, difference
from secateur_api.spec import PruningJobSpec, Weights
from secateur_jobs import checkpoint
from secateur_jobs.data import codeless
from secateur_jobs.graph.model import files_sha256
from secateur_jobs.paddle_env import paddle
from secateur_jobs.runtime.context import StageContext
from secateur_jobs.runtime.errors import InvalidInput
from secateur_jobs.runtime.files import read_named
from secateur_jobs.runtime.toolchain import toolchain
from secateur_jobs.runtime.users_modules import changed, imported
from secateur_jobs.training.answers import answered
from secateur_jobs.training.batching import ArrayDataset, is_unlabelled, read_item
from secateur_jobs.training.seeding import seed_everything
from secateur_jobs.user_code import Splits, build_model, load_callable, load_data

FILE = "sources"
"""Name of the file that pretrain and preflight leave."""
_ALL_BELOW = 512
"""Items of a set that is read as a whole."""
_SAMPLED = 256
"""Items that are read of a larger one: of changes of 2 % of the items, one in 170 passes."""
_SEEN_AGAIN = 16
"""Items that a later stage compares."""
_LAYERS = "layers"
_MODEL, _TEACHER = "spec.model.weights", "spec.fineTune.distillation.teacher.weights"


def find(spec: PruningJobSpec, code: Path | None = None) -> tuple[Sources, Splits]:
    """Return the content that the spec leads to, and the data sets that were read for it.

    ``code`` is the folder of ``spec.code``, which has a digest already.
    Calls the model's and the data's factory, and imports all other code that the spec names. The global
    random generators are left as they were. Raises what those calls raise (see ``user_code``), InvalidInput
    or MissingData for weights, InvalidInput(DATASET_INVALID) for an item that raises.
    """
    with _same_randomness():
        network = _network(spec)
        splits = _new_splits(spec)
        train, evaluation = _content(splits.train), _content(splits.eval)
        if train.random or evaluation.random:
            again = _new_splits(spec)
            train = _with_sequence(train, _content(again.train))
            evaluation = _with_sequence(evaluation, _content(again.eval))
        for ref, field in _named_code(spec):
            load_callable(ref, field)
        return Sources(
            train=train,
            eval=evaluation,
            modules=_modules(code),
            weights={field: _sha256(weights, field) for field, weights in _weights(spec)},
            layers=network.pop(_LAYERS, ""),
            network=network,
            toolchain=toolchain(),
        ), splits


def check(spec: PruningJobSpec, before: Sources, code: Path | None = None) -> Splits:
    """Return the data sets, which must be those that ``before`` was found of.

    Raises InvalidInput(SOURCES_CHANGED) if a few items, or the user's modules, are others now.
    """
    with _same_randomness():
        network = _traits(spec, spec.seed)
        splits = _splits(spec)
        now = Sources(
            train=_content(splits.train, before.train),
            eval=_content(splits.eval, before.eval),
            modules=_modules(code),
            network=network,
        )
    refuse_change(before, now)
    return splits


def of_job(context: StageContext) -> Sources:
    """Return the content that the job's preflight found; raises MissingData."""
    return context.store.unit_json(context.upstream("preflight"), FILE, Sources)


def splits_of(context: StageContext) -> Splits:
    """Return a stage's data sets, which must be those that preflight saw; see :func:`check`.

    Where there are no labels, the unpruned model's answers are in their place.
    """
    spec, preflight = context.request.spec, context.upstream("preflight")
    refuse_edited(context, preflight)
    splits = check(spec, of_job(context), context.code)
    if spec.has_labels and not is_unlabelled(splits.train):
        return splits
    unpruned = checkpoint.from_bytes(context.store.unit_file(preflight, "checkpoint"), spec.model)
    return answered(splits, unpruned, spec.evaluation)


def refuse_change(before: Sources, now: Sources) -> None:
    """Raise InvalidInput(SOURCES_CHANGED) where two stages of one job saw other content."""
    found = difference(before, now)
    if found is not None:
        raise _two_sources(found)


def refuse_edited(context: StageContext, unit: str) -> None:
    """Raise InvalidInput(SOURCES_CHANGED) where a module that made ``unit`` is another one now.

    Those that only a call imports are known after the work alone.
    """
    made = context.store.result(unit)
    file = changed(made.modules) if made is not None else None
    if file is not None:
        raise _two_sources(f"{file} has changed")


def _two_sources(what: str) -> InvalidInput:
    return InvalidInput(
        Reason.SOURCES_CHANGED,
        f"{what} since the job began, so its numbers would be of two sources; start the job again, "
        "and all is measured with what is there now",
    )


def pinned(spec: PruningJobSpec, sources: Sources) -> PruningJobSpec:
    """Return the spec with the digests of the files of weights, so that another file is refused."""
    fine_tune, model = spec.fine_tune, spec.model
    if model.weights is not None and _MODEL in sources.weights:
        weights = model.weights.model_copy(update={"sha256": sources.weights[_MODEL]})
        model = model.model_copy(update={"weights": weights})
    teacher = fine_tune.distillation.teacher
    if teacher is not None and _TEACHER in sources.weights:
        weights = teacher.weights.model_copy(update={"sha256": sources.weights[_TEACHER]})
        teacher = teacher.model_copy(update={"weights": weights})
        distillation = fine_tune.distillation.model_copy(update={"teacher": teacher})
        fine_tune = fine_tune.model_copy(update={"distillation": distillation})
    return spec.model_copy(update={"model": model, "fine_tune": fine_tune})


def cannot_tell(sources: Sources, version: str | None) -> list[str]:
    """Say what of the data cannot be told from other data."""
    found = []
    for name in ("train", "eval"):
        split: SplitContent = getattr(sources, name)
        if split.is_unknown and version is None:
            found.append(
                f"each read of the {name} set gives other items, so a change of the data is not noticed: "
                "set data.version to a new text when you change it"
            )
        elif split.random and split.sequence is None and not split.is_unknown:
            columns = ", ".join(map(str, split.random))
            found.append(
                f"column {columns} of the {name} set is random by design; a change there is not noticed"
            )
    return found


# ---- data ----


def _new_splits(spec: PruningJobSpec) -> Splits:
    seed_everything(spec.seed)
    return _splits(spec)


def _splits(spec: PruningJobSpec) -> Splits:
    if spec.data.factory is None:
        return codeless.splits(spec.data, spec.model, spec.seed, spec.has_labels)
    return load_data(spec.data, len(spec.model.inputs), spec.has_labels)


def _with_sequence(one: SplitContent, other: SplitContent) -> SplitContent:
    """Keep the digest of a sequence that two new sets have in common."""
    return one if one.sequence == other.sequence else one.model_copy(update={"sequence": None})


def _content(dataset: paddle.io.Dataset, like: SplitContent | None = None) -> SplitContent:
    """Digest a data set; with ``like`` only a few of the items and the columns that it has."""
    if isinstance(dataset, ArrayDataset):
        return SplitContent(length=len(dataset), items={"all": _digest(dataset.arrays)})
    length = len(dataset)
    if like is not None:
        known = [int(index) for index in like.items if index.isdecimal() and int(index) < length]
        chosen = [known[i] for i in _spread(len(known), _SEEN_AGAIN)]
        items = {str(index): _seen_again(dataset, index, like) for index in chosen}
        return SplitContent(length=length, items=items)
    chosen = list(range(length)) if length <= _ALL_BELOW else _spread(length, _SAMPLED)
    reads = [(_columns(dataset, index), _columns(dataset, index)) for index in chosen]
    columns = len(reads[0][0])
    unstable = [
        c for c in range(columns) if any(first[c : c + 1] != again[c : c + 1] for first, again in reads)
    ]
    items = {str(index): _joined(first, unstable) for index, (first, _) in zip(chosen, reads, strict=True)}
    stable = [c for c in range(columns) if c not in unstable]
    sequence = [_joined(first, stable) for first, _ in reads]
    return SplitContent(
        length=length,
        items=items,
        random=unstable,
        columns=columns,
        sequence=_joined(sequence, []) if unstable else None,
    )


def _seen_again(dataset: paddle.io.Dataset, index: int, like: SplitContent) -> str:
    """Digest an item; one that is another is read once more: it may be random so seldom that nobody saw."""
    found = _joined(_columns(dataset, index), like.random)
    if found == like.items[str(index)]:
        return found
    return _joined(_columns(dataset, index), like.random)


def _spread(length: int, count: int) -> list[int]:
    """Return up to ``count`` of ``length`` indices: the first, the last, and some between."""
    return (
        [int(i) for i in np.unique(np.linspace(0, length - 1, min(count, length)).round())] if length else []
    )


def _columns(dataset: paddle.io.Dataset, index: int) -> list[str]:
    """Read an item under a seed of its own, and return the digest of each column."""
    seed_everything(index % 2**31)
    return [_digest([column]) for column in read_item(dataset, index)]


def _joined(columns: list[str], unstable: list[int]) -> str:
    return hashlib.sha256(
        "".join(c for i, c in enumerate(columns) if i not in unstable).encode()
    ).hexdigest()[:20]


def _digest(arrays: Iterable[np.ndarray]) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}\0".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()[:20]


@contextmanager
def _same_randomness() -> Iterator[None]:
    """Leave the global generators as they were."""
    before = random.getstate(), np.random.get_state(), paddle.get_rng_state()
    try:
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])
        paddle.set_rng_state(before[2])


# ---- code and weights ----


def _modules(code: Path | None) -> dict[str, str]:
    return {name: one.digest for name, one in imported(code).items()}


def _named_code(spec: PruningJobSpec) -> list[tuple[str, str]]:
    named = [
        (spec.evaluation.metric, "spec.evaluation.metric"),
        (spec.evaluation.loss, "spec.evaluation.loss"),
        (spec.pruning.criterion, "spec.pruning.criterion"),
    ]
    teacher = spec.fine_tune.distillation.teacher
    if teacher is not None:
        named.append((teacher.factory, "spec.fineTune.distillation.teacher.factory"))
    return [(ref, field) for ref, field in named if ":" in ref]


def _weights(spec: PruningJobSpec) -> list[tuple[str, Weights]]:
    found = [] if spec.model.weights is None else [(_MODEL, spec.model.weights)]
    teacher = spec.fine_tune.distillation.teacher
    return found if teacher is None else [*found, (_TEACHER, teacher.weights)]


def _network(spec: PruningJobSpec) -> dict[str, str]:
    """Digest what the factory builds: it may read files that no field names.

    What another seed changes is not from a file: the spec and the code decide it, and it is left out.
    """
    one, other = (_traits(spec, seed) for seed in (spec.seed, (spec.seed + 1) % 2**31))
    return {name: found for name, found in one.items() if other.get(name) == found}


def _traits(spec: PruningJobSpec, seed: int) -> dict[str, str]:
    seed_everything(seed)
    if spec.model.exported is not None:
        return {"files": files_sha256(spec.model.exported, "spec.model.exported")}
    net = build_model(spec.model)
    tensors = {name: tensor.numpy() for name, tensor in net.state_dict().items()}
    shapes = [f"{name} {array.dtype} {array.shape}" for name, array in tensors.items()]
    texts = {"shapes": "\n".join(shapes), _LAYERS: re.sub(r" at 0x[0-9a-f]+", "", str(net))}
    return {
        **{name: _digest([array]) for name, array in tensors.items()},
        **{name: hashlib.sha256(text.encode()).hexdigest()[:20] for name, text in texts.items()},
    }


def _sha256(weights: Weights, field: str) -> str:
    content = read_named(weights.uri, weights.sha256, field, Reason.WEIGHTS_MISSING, Reason.WEIGHTS_INVALID)
    return hashlib.sha256(content).hexdigest()
