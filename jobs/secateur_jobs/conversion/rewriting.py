"""What is done to a network only for its export: the user's ``spec.model.beforeExport``.

Re-parameterised networks (RepVGG, Ding et al. 2021; MobileOne, Vasu et al. 2022; PPLCNetV3) train with
several branches and run as the one convolution that these add up to.
"""

from __future__ import annotations

from pathlib import Path

from secateur_api.conditions import Reason
from secateur_api.spec import Model
from secateur_jobs import checkpoint
from secateur_jobs.conversion.export import Exported, export
from secateur_jobs.explain import RAISED, raised
from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning.macs import Counts, count
from secateur_jobs.runtime.errors import InvalidInput
from secateur_jobs.user_code import load_callable

_FIELD = "spec.model.beforeExport"


def export_rewritten(net: paddle.nn.Layer, model: Model, folder: Path) -> Exported:
    """Export what :func:`for_export` returns; raises what that and :func:`conversion.export.export` do."""
    return export(for_export(net, model), model.inputs, folder)


def for_export(net: paddle.nn.Layer, model: Model) -> paddle.nn.Layer:
    """Return what is exported for ``net``: itself, or a copy that the user's callable has rewritten.

    Raises InvalidInput: CODE_NOT_FOUND; FACTORY_FAILED if the callable raises or returns no Layer.
    """
    if model.before_export is None:
        return net
    rewrite = load_callable(model.before_export, _FIELD)
    copy = checkpoint.from_bytes(checkpoint.to_bytes(net, model), model)
    try:
        with paddle.utils.unique_name.guard("before_export_"):  # names of parameters that the copy has not
            answer = rewrite(copy)
    except RAISED as error:
        raise InvalidInput(
            Reason.FACTORY_FAILED, f"{_FIELD}: {model.before_export} raised {raised(error)}"
        ) from error
    rewritten = copy if answer is None else answer
    if not isinstance(rewritten, paddle.nn.Layer):
        raise InvalidInput(
            Reason.FACTORY_FAILED,
            f"{_FIELD}: {model.before_export} returned an object of type {type(answer).__name__}; it must "
            "return the paddle.nn.Layer to export, or nothing where it changed the one that it was given",
        )
    rewritten.eval()
    return rewritten


def notes_of(net: paddle.nn.Layer, counts: Counts, model: Model) -> list[str]:
    """Say that ``counts``, those of ``net``, are not those of what is exported, where that is rewritten."""
    if model.before_export is None:
        return []
    exported = count(for_export(net, model), model.inputs)
    return [
        f"MACs and parameters are those of the network that trains: uncut {counts.macs:,} and "
        f"{counts.params:,}; as it is exported, after {model.before_export}, {exported.macs:,} and "
        f"{exported.params:,}"
    ]
