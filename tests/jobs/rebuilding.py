"""A checkpoint of a test's own, rebuilt by what it says of itself."""

from __future__ import annotations

from secateur_api.spec import Model, Pretrain
from secateur_jobs import checkpoint
from secateur_jobs.paddle_env import paddle


def model_of(content: bytes, origin: str) -> Model:
    """Return the model that a checkpoint says it is of."""
    said = checkpoint.parse(content, origin)[1].model
    return Model(factory=said.factory, args=said.args, inputs=said.inputs, pretrain=Pretrain(epochs=1))


def rebuilt(content: bytes, origin: str = "the checkpoint") -> paddle.nn.Layer:
    """Return the network of a checkpoint."""
    return checkpoint.from_bytes(content, model_of(content, origin), origin)
