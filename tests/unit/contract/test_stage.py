"""Units of work: what is the same work, and what is not."""

import pytest

from secateur_api import Stage, StageInput, parse_job, unit_name
from secateur_api.stage import RoundRequest, Upstream

from .test_resource import MINIMAL, changed


def request(stage: Stage, document=MINIMAL, **more) -> StageInput:
    return StageInput(job="digits", stage=stage, spec=parse_job(document).spec, store="file:///s", **more)


def test_equal_work_of_another_job_in_another_store_has_the_same_name():
    first = request(Stage.PREFLIGHT)
    other = first.model_copy(update={"job": "other", "store": "s3://b"})
    assert unit_name(first) == unit_name(other)


@pytest.mark.parametrize(
    ("stage", "path", "value", "same"),
    [
        (Stage.PRETRAIN, "spec.pruning.criterion", "l1_norm", True),
        (Stage.PRETRAIN, "spec.seed", 1, False),
        (Stage.PRETRAIN, "spec.constraints", [{"metric": "accuracyDrop", "max": "1%"}], True),
        (Stage.ROUND, "spec.pruning.schedule", {"rounds": 9}, True),
        (Stage.ROUND, "spec.fineTune", {"epochs": 9}, False),
        (Stage.ROUND, "spec.benchmark", [{"runs": 500}], True),
        (Stage.BENCHMARK, "spec.benchmark", [{"runs": 500}], False),
        (Stage.SENSITIVITY, "spec.sensitivity", {"ratios": [0.5]}, False),
    ],
)
def test_a_unit_is_named_by_what_its_stage_reads(stage, path, value, same):
    names = {unit_name(request(stage)), unit_name(request(stage, changed(path, value)))}
    assert (len(names) == 1) is same


def test_rounds_shards_and_upstream_name_other_units():
    names = {
        unit_name(request(Stage.ROUND, round=RoundRequest(number=1, share=0.4))),
        unit_name(request(Stage.ROUND, round=RoundRequest(number=2, share=0.8, base="round-a"))),
        unit_name(request(Stage.ROUND, round=RoundRequest(number=2, share=0.8, base="round-b"))),
        unit_name(request(Stage.SENSITIVITY, shard=0, shards=2)),
        unit_name(request(Stage.SENSITIVITY, shard=1, shards=2)),
        unit_name(request(Stage.SENSITIVITY, shards=2, upstream=Upstream(preflight="p"))),
    }
    assert len(names) == 6


def test_a_rolled_back_round_tried_again_with_the_same_share_is_found_again():
    first = request(Stage.ROUND, round=RoundRequest(number=2, share=0.5))
    again = request(Stage.ROUND, round=RoundRequest(number=3, share=0.5))
    assert unit_name(first) == unit_name(again)
