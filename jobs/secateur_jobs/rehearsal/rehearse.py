"""All that is rehearsed with a network and its data, in the order in which it is cheapest to know."""

from __future__ import annotations

import socket

import numpy as np

from secateur_api.spec import PruningJobSpec
from secateur_jobs.paddle_env import paddle
from secateur_jobs.rehearsal.keeping import check_kept
from secateur_jobs.rehearsal.step import check_step
from secateur_jobs.training.batching import gather
from secateur_jobs.training.parallel.rendezvous import address_of
from secateur_jobs.training.seeding import generators_kept
from secateur_jobs.user_code import Splits


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
