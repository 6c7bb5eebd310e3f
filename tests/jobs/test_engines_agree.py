"""Where both engines can cut a group they make the same network of it: eight of the twelve nets.

``tests.bench.coverage`` compares all twelve, the slow ones included.
"""

from __future__ import annotations

import pytest

from secateur_api.spec import InputSpec
from secateur_jobs.paddle_env import paddle
from tests.jobs.agreement import agreement
from tests.jobs.statistics import like_trained

pytestmark = pytest.mark.paddle
VISION = paddle.vision.models


NETS = {
    "mobilenet_v1": (lambda: VISION.mobilenet_v1(scale=0.25), 32, 14),
    "mobilenet_v2": (lambda: VISION.mobilenet_v2(scale=0.25), 32, 24),
    "mobilenet_v3_small": (lambda: VISION.mobilenet_v3_small(scale=0.5), 32, 26),
    "resnet18": (VISION.resnet18, 32, 12),
    "resnet50": (VISION.resnet50, 32, 37),
    "resnext50_32x4d": (VISION.resnext50_32x4d, 32, 5),
    "shufflenet_v2_x1_0": (VISION.shufflenet_v2_x1_0, 32, 18),
    "squeezenet1_0": (VISION.squeezenet1_0, 64, 9),
}


@pytest.mark.parametrize(("build", "size", "shared"), NETS.values(), ids=NETS)
def test_both_engines_make_equal_networks_of_the_groups_they_share(build, size: int, shared: int) -> None:
    found = agreement(like_trained(build()), [InputSpec(name="image", shape=[1, 3, size, size])])
    assert found.shared == shared
    assert found.unequal == []
