"""A network is kept as its tensors: what comes back from them must be the same network."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from secateur_api.conditions import Reason
from secateur_api.spec import Model
from secateur_jobs import checkpoint
from secateur_jobs.paddle_env import paddle
from secateur_jobs.rehearsal.repeatable import check_made_in_init, shapes_of
from secateur_jobs.runtime.errors import InvalidInput
from secateur_jobs.training.forward import eval_mode, forward
from secateur_jobs.user_code import build_model

_SAME = 1e-4


def check_kept(net: paddle.nn.Layer, model: Model, inputs: Sequence[np.ndarray]) -> paddle.nn.Layer:
    """Save and reload an uncut network that has been run; return what was reloaded, in evaluation mode.

    ``inputs`` are a batch. Raises InvalidInput(FACTORY_FAILED) if layers were made or removed since it was
    built, or if the reloaded one answers otherwise: then something in ``forward`` is no parameter or buffer.
    """
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
