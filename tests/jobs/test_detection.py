"""A detector with a feature pyramid: it learns, and its layers can be surveyed."""

from __future__ import annotations

import numpy as np
import pytest

from secateur_api.spec import Distillation, Engine, Evaluation, InputSpec, Model, Pretrain
from secateur_jobs.data.boxes import splits
from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning.engines import make_engine
from secateur_jobs.training.distillation import distillation_loss
from secateur_jobs.training.evaluate import evaluate
from secateur_jobs.training.forward import read
from secateur_jobs.training.regions import regions
from secateur_jobs.training.seeding import seed_everything
from secateur_jobs.training.train import train
from secateur_jobs.user_code import build_model

pytestmark = pytest.mark.paddle

_MODEL = Model(
    factory="secateur_jobs.zoo.detection:db_mobile",
    args={"scale": 0.35, "channels": 1, "width": 32},
    inputs=[InputSpec(name="image", shape=[1, 1, 64, 64])],
    pretrain=Pretrain(epochs=1),
)
_EVALUATION = Evaluation(metric="hmean", loss="secateur_jobs.zoo.detection:db_loss")


def test_boxes_do_not_touch_and_repeat_for_a_seed() -> None:
    train_set, test = splits(20, 4, seed=2)
    again, _ = splits(20, 4, seed=2)
    np.testing.assert_array_equal(train_set.arrays[0], again.arrays[0])
    image, mask = test[0]
    assert (image.shape, mask.shape, image.dtype) == ((1, 64, 64), (1, 64, 64), np.float32)
    for mask in train_set.arrays[1]:
        boxes = regions(mask)
        assert 1 <= len(boxes) <= 3
        # each region is a filled box: no two have run into one
        assert sum((bottom - top) * (right - left) for top, left, bottom, right in boxes) == mask.sum()


def test_a_detector_learns() -> None:
    seed_everything(0)
    net = build_model(_MODEL)
    learning, checked = splits(256, 32)
    before = evaluate(net, checked, _EVALUATION)
    losses = train(net, learning, _EVALUATION, epochs=8, learning_rate=0.01, batch_size=16)
    assert losses[-1] < 0.7 * losses[0]
    assert evaluate(net, checked, _EVALUATION) > before + 0.2


def test_backbone_pyramid_and_head_can_be_cut() -> None:
    seed_everything(0)
    net = build_model(_MODEL)
    net.eval()
    engine = make_engine(Engine.AUTO, net, _MODEL.inputs)
    cut = {name for group in engine.groups for name in group.producers}
    assert {"neck.lateral.0", "neck.smooth.0", "neck.smooth.3", "head.conv1.conv", "head.conv2"} <= cut


def test_a_map_is_taught_point_by_point() -> None:
    student, teacher = read(paddle.to_tensor([[[[0.2, 0.4]]]])), read(paddle.to_tensor([[[[0.4, 0.4]]]]))
    labels = np.zeros((1, 1, 1, 2), np.float32)
    found = distillation_loss(student, teacher, labels, "0", _EVALUATION, Distillation())
    assert float(found) == pytest.approx(0.02)
