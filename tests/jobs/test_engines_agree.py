"""Where both engines can cut a group they make the same network of it."""

from __future__ import annotations

import numpy as np
import pytest

from secateur_api.spec import InputSpec
from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning.engine import ChannelGroup, PruningEngine
from secateur_jobs.pruning.native.engine import NativeEngine
from secateur_jobs.pruning.paddleslim_engine import PaddleSlimEngine
from tests.jobs.statistics import like_trained

pytestmark = pytest.mark.paddle
VISION = paddle.vision.models


def touched(group: ChannelGroup) -> set[tuple[str, str, int, bytes]]:
    """Return every axis that a group takes channels from, with the channel of each position."""
    return {(s.layer, s.parameter, s.axis, s.owner.astype(np.int64).tobytes()) for s in group.slices}


def cut_state(engine: PruningEngine, keep: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    engine.cut(keep)
    try:
        return {
            name: tensor.numpy()
            for name, tensor in engine.net.state_dict().items()
            if not name.endswith("_backup")
        }
    finally:
        engine.restore()


@pytest.mark.parametrize(
    ("build", "size", "shared"),
    [
        (lambda: VISION.mobilenet_v1(scale=0.25), 32, 14),
        (lambda: VISION.mobilenet_v3_small(scale=0.5), 32, 26),
        (VISION.resnet18, 32, 12),
        (VISION.squeezenet1_0, 64, 9),
    ],
    ids=["mobilenet_v1", "mobilenet_v3_small", "resnet18", "squeezenet"],
)
def test_both_engines_make_equal_networks_of_the_groups_they_share(build, size: int, shared: int) -> None:
    net = like_trained(build())
    inputs = [InputSpec(name="image", shape=[1, 3, size, size])]
    native, theirs = NativeEngine(net, inputs), PaddleSlimEngine(net, inputs)
    ours = {group.name: group for group in native.groups}
    both = [g for g in theirs.groups if g.name in ours and touched(g) == touched(ours[g.name])]
    assert len(both) == shared
    random = np.random.default_rng(2)
    keep = {g.name: g.choose(random.random(g.channels), max(1, g.channels * 2 // 3)) for g in both}
    mine, other = cut_state(native, keep), cut_state(theirs, keep)
    assert mine.keys() == other.keys()
    for name, tensor in mine.items():
        np.testing.assert_array_equal(tensor, other[name], err_msg=name)
