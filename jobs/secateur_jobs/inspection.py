"""``python -m secateur_jobs inspect``: say what a model is and what of it can be cut, without data."""

from __future__ import annotations

import re
import sys
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from secateur_api.conditions import Reason
from secateur_api.inspection import (
    LINE_PREFIX,
    DataFound,
    GroupFound,
    Inspection,
    InspectionAnswer,
    InspectionRequest,
    OutputFound,
)
from secateur_api.results import Group, Shares
from secateur_api.spec import (
    DType,
    Evaluation,
    Exported,
    InputSpec,
    Model,
    Protect,
    Pruning,
    PruningJobSpec,
    Sensitivity,
    Target,
)
from secateur_api.stage import ExitCode
from secateur_jobs import checkpoint
from secateur_jobs.data import codeless
from secateur_jobs.data.check import check_data
from secateur_jobs.explain import RAISED, in_user_code, raised
from secateur_jobs.forms import Wish, choose
from secateur_jobs.graph.examples import examples, shapes_of
from secateur_jobs.graph.model import opened
from secateur_jobs.graph.network import GraphNetwork
from secateur_jobs.graph.program import Feed
from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning.macs import Counts
from secateur_jobs.pruning.survey import Found, allowed
from secateur_jobs.pruning.widths import MAX_RATIO
from secateur_jobs.runtime.code_path import make_importable
from secateur_jobs.runtime.errors import InvalidInput, StageError, from_os_error
from secateur_jobs.training.answers import answered, form_of_answers, note_of_form, plain_form
from secateur_jobs.training.batching import is_unlabelled
from secateur_jobs.training.forward import eval_mode, forward
from secateur_jobs.training.seeding import generators_kept
from secateur_jobs.user_code import build_model

FREE = Protect(first=MAX_RATIO, last=MAX_RATIO)
"""No layer is protected."""
_ALL = Target(macs="0%", params="0%", size="0%")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,62}")


def answer() -> ExitCode:
    """Do what the request on standard input asks for; the answer goes to standard output."""
    try:
        request = InspectionRequest.model_validate_json(sys.stdin.read())
        with tempfile.TemporaryDirectory(prefix="secateur-inspect-") as scratch:
            if request.code is not None:
                make_importable(request.code, Path(scratch))
            found = inspected(request)
    except ValidationError as error:
        return _failed(ExitCode.INVALID_INPUT, error.errors()[0]["msg"])
    except StageError as error:
        return _failed(error.exit_code, error.message)
    except OSError as error:
        known = from_os_error(error)
        return _failed(known.exit_code, known.message)
    except RAISED as error:
        where = in_user_code(error)
        if where is None:
            traceback.print_exc()
            return _failed(ExitCode.INTERNAL, f"{raised(error)}; this is a defect in Secateur")
        return _failed(ExitCode.INVALID_INPUT, f"{raised(error)}: raised in your code ({where})")
    _say(InspectionAnswer(found=found))
    return ExitCode.DONE


def inspected(request: InspectionRequest) -> Inspection:
    """Return what is to be said about a model. Raises StageError; what a network raises where it is cut."""
    if request.exported is not None:
        net, inputs, difference = _of_files(request.exported, request.inputs)
        model, file_bytes = Model(exported=request.exported, inputs=inputs), net.files_bytes
    else:
        inputs, difference = request.inputs, None
        model = Model(factory=request.factory, args=request.args, trained=True, inputs=inputs)
        net = build_model(model)
        file_bytes = len(checkpoint.plain_bytes(net, inputs))
    with generators_kept(), eval_mode(net):
        outputs = _outputs(net, inputs)
        found_data = _data(request, net, model)
        wish = Wish(model.cut_as, Pruning(target=_ALL).engine, inputs, None)
        chosen = choose(net, wish, _example(inputs), check=lambda graph: None)
        found, counts = chosen.found, chosen.counts
        size = len(checkpoint.plain_bytes(chosen.net, inputs))
        free = Pruning(target=_ALL, protect=FREE, align=1)
        with chosen.explaining():
            groups, most = _allowed(found, free, [MAX_RATIO], inputs, counts, size)
            _, by_default = _allowed(found, Pruning(target=_ALL), Sensitivity().ratios, inputs, counts, size)
    return Inspection(
        model=model.origin,
        inputs=inputs,
        outputs=outputs,
        macs=counts.macs,
        params=counts.params,
        file_bytes=file_bytes,
        difference=difference,
        groups=[_group(group) for group in groups],
        refused=found.refused,
        notes=[*chosen.notes, *found.notes],
        most=most,
        by_default=by_default,
        data=found_data,
    )


def _of_files(model: Exported, given: Sequence[InputSpec]) -> tuple[GraphNetwork, list[InputSpec], float]:
    """Return the rebuilt network, its inputs, and its difference from the files."""
    sizes = {one.name: one.shape for one in given}
    network, difference = opened(model, sizes, "spec.model.exported")
    shapes = shapes_of(network.feeds, sizes)
    declared = [
        _input(at, feed, shape) for at, (feed, shape) in enumerate(zip(network.feeds, shapes, strict=True))
    ]
    return network, declared, difference


def _input(at: int, feed: Feed, shape: list[int]) -> InputSpec:
    """Return an input as a spec declares it: by its place where its own name is none for a spec."""
    if feed.dtype not in {kind.value for kind in DType}:
        raise InvalidInput(
            Reason.FACTORY_FAILED,
            f"spec.model.inputs[{at}]: input {feed.name} is of {feed.dtype}; export the model with "
            f"{', '.join(kind.value for kind in DType)} inputs",
        )
    name = feed.name if _NAME.fullmatch(feed.name) else f"input_{at}"
    return InputSpec(name=name, shape=shape, dtype=DType(feed.dtype))


def _outputs(net: paddle.nn.Layer, inputs: list[InputSpec]) -> list[OutputFound]:
    """Run once on random inputs; what ``forward`` raises is explained."""
    shown = ", ".join(f"{one.name} {one.shape}" for one in inputs)
    try:
        with paddle.no_grad():
            outputs = forward(net, _example(inputs)).arrays()
    except RAISED as error:
        raise InvalidInput(
            Reason.FACTORY_FAILED, f"spec.model.inputs: on {shown} the model's forward raised {raised(error)}"
        ) from error
    floats = outputs.floats
    return [
        OutputFound(
            name=name,
            shape=list(array.shape),
            dtype=str(array.dtype),
            form=plain_form(array) if name in floats and array.ndim else None,
        )
        for name, array in outputs.tensors.items()
    ]


def _example(inputs: list[InputSpec]) -> list[np.ndarray]:
    feeds = [Feed(at, one.name, one.shape, one.dtype.value) for at, one in enumerate(inputs)]
    return list(examples(feeds, [one.shape for one in inputs], None).values())


def _data(request: InspectionRequest, net: paddle.nn.Layer, model: Model) -> DataFound | None:
    """Read the data that were named, as the spec's own rules allow."""
    if request.data is None:
        return None
    spec = PruningJobSpec(
        model=model,
        data=request.data,
        evaluation=Evaluation(form=request.form),
        pruning=Pruning(target=_ALL),
    )
    splits = codeless.splits(request.data, model, spec.seed)
    notes = codeless.notes_of(request.data, model, splits)
    form = form_of_answers(net, splits, spec.evaluation)
    if not spec.has_labels:
        return DataFound(form=form, notes=notes)
    if is_unlabelled(splits.train):
        splits = answered(splits, net, spec.evaluation)
        notes = [note_of_form(form, spec.evaluation), *notes]
    check_data(net, splits, model, spec.evaluation, spec.data.origin_field)
    return DataFound(notes=notes)


def _allowed(
    found: Found,
    pruning: Pruning,
    ratios: Sequence[float],
    inputs: list[InputSpec],
    counts: Counts,
    size: int,
) -> tuple[list[Group], Shares]:
    survey = allowed(found, pruning, ratios, inputs, counts, size)
    return survey.table.groups, survey.reachable


def _group(group: Group) -> GroupFound:
    return GroupFound(
        name=group.name,
        channels=group.channels,
        producers=group.producers,
        consumers=group.consumers,
        others=group.others,
    )


def _failed(code: ExitCode, why: str) -> ExitCode:
    _say(InspectionAnswer(failed=why))
    return code


def _say(said: InspectionAnswer) -> None:
    print(f"{LINE_PREFIX}{said.model_dump_json(by_alias=True, exclude_none=True)}", flush=True)  # noqa: T201
