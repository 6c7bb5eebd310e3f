"""What a user who writes a wrong PruningJob is told."""

import copy
from typing import Any

import pytest

from secateur_api import InvalidResource, parse_job
from secateur_api.resource import SPEC_LIMIT

MINIMAL: dict[str, Any] = {
    "apiVersion": "secateur.dev/v1alpha1",
    "kind": "PruningJob",
    "metadata": {"name": "digits"},
    "spec": {
        "model": {
            "factory": "zoo:net",
            "pretrain": {"epochs": 1},
            "inputs": [{"name": "image", "shape": [1, 1, 32, 32]}],
        },
        "data": {"factory": "zoo:data"},
        "pruning": {"target": {"macs": "50%"}},
    },
}


def changed(path: str, value: object) -> dict[str, Any]:
    """A valid document with one field set (or, for ``...``, removed)."""
    document = copy.deepcopy(MINIMAL)
    at: Any = document
    *parents, last = path.split(".")
    for part in parents:
        at = at.setdefault(part, {})
    if value is ...:
        del at[last]
    else:
        at[last] = value
    return document


def problems(document: object) -> list[str]:
    with pytest.raises(InvalidResource) as caught:
        parse_job(document)
    return [str(problem) for problem in caught.value.problems]


def test_the_minimal_job_gets_the_documented_defaults():
    spec = parse_job(MINIMAL).spec
    assert spec.pruning.criterion == "fisher"
    assert spec.pruning.protect.first == spec.pruning.protect.last == 0.1
    assert [(c.format.value, c.backend and c.backend.value) for c in spec.convert] == [
        ("paddle-lite", "arm"),
        ("paddle-lite", "x86"),
        ("onnx", None),
    ]


def test_the_wire_form_reads_back_as_the_same_spec():
    spec = parse_job(MINIMAL).spec
    again = parse_job({**MINIMAL, "spec": spec.to_wire()}).spec
    assert again == spec


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("spec.prunning", {}, "spec.prunning: unknown field; did you mean 'pruning'?"),
        ("spec.pruning.align", 0, "spec.pruning.align: input should be greater than or equal to 1"),
        ("spec.pruning.criterion", "l3", "spec.pruning.criterion: 'l3' is not valid here; expected fisher"),
        (
            "spec.pruning.layers",
            [{"match": "conv1", "ratio": -0.1}],
            "spec.pruning.layers[0].ratio: input should be greater than or equal to 0",
        ),
        (
            "spec.pruning.layers",
            [{"match": "conv1", "ratio": 1}],
            "spec.pruning.layers[0].ratio: input should be less than 1",
        ),
        (
            "spec.pruning.layers",
            [{"match": "conv1", "ratio": float("nan")}],
            "spec.pruning.layers[0].ratio: nan is no number that JSON has",
        ),
        ("spec.model.pretrain", ..., "spec.model: model needs weights: {uri: ...}, or pretrain"),
        (
            "spec.model.factory",
            "net",
            "spec.model.factory: 'net' is not valid here; expected module:callable",
        ),
        ("spec.model.inputs", [], "spec.model.inputs: "),
        ("spec.model.weights", {"uri": "a.pkl"}, "spec.model.weights: weights.uri must end in .safetensors"),
        (
            "spec.model.weights",
            {"uri": "a.npz", "prefix": "ernie"},
            "spec.model.weights.prefix: 'ernie' is not",
        ),
        (
            "spec.model.pretrain",
            {"epochs": 1, "fresh": ["classifier.*"]},
            "spec.model: pretrain.fresh says what is not taken from weights",
        ),
        ("spec.pruning.target", ..., "spec.pruning: pruning needs a target"),
        ("spec.pruning.target", {}, "spec.pruning.target: target needs at least one of macs"),
        ("spec.pruning.target", {"macs": 50}, "spec.pruning.target.macs: expected text, found 50"),
        (
            "spec.pruning.schedule",
            {"rounds": 2, "step": 0.2},
            "spec.pruning: schedule.rounds x schedule.step cannot reach the target",
        ),
        (
            "spec.constraints",
            [{"metric": "latencyP5", "max": "1s"}],
            "spec.constraints[0].metric: 'latencyP5' is not one of",
        ),
        (
            "spec.constraints",
            [{"metric": "latencyP50", "max": "3%"}],
            "spec.constraints[0]: latencyP50, latencyP90 needs max: a duration",
        ),
        (
            "spec.constraints",
            [{"metric": "speedup", "max": "2x"}],
            "spec.constraints[0]: speedup needs min: a factor",
        ),
        (
            "spec.constraints",
            [{"metric": "latencyP50", "max": "3ms", "device": "pixel-6"}],
            "spec: a constraint on latency, memory or speed-up needs a benchmark",
        ),
        (
            "spec.convert",
            [{"format": "onnx"}],
            "spec: each benchmark needs its format in convert",
        ),
        ("spec.convert", [{"format": "onnx"}] * 2, "spec: convert names a format and backend twice"),
        ("spec.convert", [{"format": "paddle-lite"}], "spec.convert[0]: format paddle-lite needs backend"),
        ("spec.benchmark", [{"runs": 10}], "spec.benchmark[0].runs: input should be greater than or equal"),
        ("spec.data", ..., "spec.data: this field is required"),
        ("metadata.name", "Digits!", "metadata.name: a PruningJob's name is the beginning"),
        ("kind", "Job", "kind: expected 'PruningJob', found 'Job'"),
        ("apiVersion", "v1", "apiVersion: expected 'secateur.dev/v1alpha1', found 'v1'"),
    ],
)
def test_a_wrong_field_is_refused_with_its_path(path, value, expected):
    found = problems(changed(path, value))
    assert any(line.startswith(expected) for line in found), found


def test_a_refusal_shows_no_credentials() -> None:
    uri = "s3://me:hush@host/" + "x" * 2048 + ".npz"
    (said,) = problems(changed("spec.store", {"uri": uri}))
    assert said.startswith("spec.store.uri: ")
    assert "hush" not in said
    assert "***@host" in said


def test_every_problem_is_named_at_once():
    document = changed("spec.pruning.align", 0)
    document["spec"]["fineTune"] = {"epoch": 3}
    found = problems(document)
    assert len(found) == 2
    assert "spec.fineTune.epoch: unknown field; did you mean 'epochs'?" in found


@pytest.mark.parametrize("document", [None, [], "text", 3])
def test_something_else_than_a_mapping_is_refused(document):
    assert "expected a PruningJob" in problems(document)[0]


def test_a_spec_that_is_too_long_to_be_told_is_refused_with_the_part_that_is_long():
    document = changed("spec.data.args", {"lines": ["剪枝" * 10] * 1000})
    (problem,) = problems(document)
    assert problem.startswith("spec.data.args: the spec has ")
    assert "32768 are allowed" in problem
    assert "put long values into a file" in problem


def test_the_longest_spec_that_is_allowed():
    def sized(length):
        return changed("spec.data.args", {"text": "x" * length})

    room = SPEC_LIMIT - len(parse_job(sized(0)).spec.model_dump_json(by_alias=True, exclude_none=True))
    assert problems(sized(room + 1))
    parse_job(sized(room))


@pytest.mark.parametrize(
    ("written", "name"), [(1, "1"), ("1", "1"), ("maps", "maps"), ("0.boxes", "0.boxes")]
)
def test_an_output_is_named_by_number_or_key(written: object, name: str) -> None:
    assert parse_job(changed("spec.evaluation.output", written)).spec.evaluation.output == name


@pytest.mark.parametrize("written", [True, 1.5, "", [0]])
def test_what_names_no_output_is_refused_with_its_path(written: object) -> None:
    with pytest.raises(InvalidResource) as caught:
        parse_job(changed("spec.evaluation.output", written))
    assert "spec.evaluation.output" in str(caught.value)
