"""For every cross-field rule of the contract: a spec that keeps it and one that breaks it, no other rule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from secateur_api.base import Contract
from secateur_api.spec import (
    Arrays,
    Constraint,
    Convert,
    Data,
    Evaluation,
    Exported,
    FineTune,
    Images,
    Model,
    Pruning,
    PruningJobSpec,
    StageResources,
    Store,
    Target,
    Weights,
)

Changes = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """Changes of the minimal spec (dotted path to value, None removes) around one rule."""

    model: type[Contract]
    rule: str
    """How its message begins."""
    where: str
    """Field that the error names."""
    kept: Changes
    broken: Changes

    def __str__(self) -> str:
        return f"{self.model.__name__}: {self.rule}"


def _constraint(*bounds: Changes) -> Changes:
    return {"constraints": list(bounds)}


_X86 = {"format": "paddle-lite", "backend": "x86"}
_ARM = {"format": "paddle-lite", "backend": "arm"}
_ONNX = {"format": "onnx"}
_UNTRAINED = {"model.pretrain": None, "model.weights": {"uri": "net.npz"}}


def _pictures(**fields: Any) -> Changes:
    return {**_UNTRAINED, "data": {"images": {"uri": "s3://photos/cards", **fields}}}


_LABELS = {"uri": "val_list.txt"}


def _arrays(**fields: Any) -> Changes:
    return {**_UNTRAINED, "data": {"arrays": {"uri": "s3://tables/cards.npz", **fields}}}


_TEXTS = {"uri": "s3://texts/reviews.txt", "vocabulary": {"uri": "vocab.txt"}}


def _lines(*shapes: list[int]) -> Changes:
    named = enumerate(shapes)
    inputs = [{"name": f"ids_{number}", "shape": shape, "dtype": "int64"} for number, shape in named]
    return {**_UNTRAINED, "data": {"lines": _TEXTS}, "model.inputs": inputs}


CASES: tuple[Case, ...] = (
    Case(
        Evaluation,
        "classAxis 0 is the batch's axis",
        "spec.evaluation",
        {"evaluation": {"classAxis": -1}},
        {"evaluation": {"classAxis": 0}},
    ),
    Case(
        Evaluation,
        "agreement is better where it is larger",
        "spec.evaluation",
        {**_UNTRAINED, "evaluation": {"metric": "agreement", "goal": "maximize"}},
        {**_UNTRAINED, "evaluation": {"metric": "agreement", "goal": "minimize"}},
    ),
    Case(
        Data,
        "data needs one of factory",
        "spec.data",
        _pictures(mean=[0.5], std=[0.5], scale=1, layout="NHWC", order="BGR", fit="crop", size=[32, 32]),
        {**_UNTRAINED, "data": {"args": {"lines": 4000}}},
    ),
    Case(
        Arrays,
        "arrays.uri must end in",
        "spec.data.arrays",
        _arrays(uri="cards.npy"),
        _arrays(uri="cards.npz.gz"),
    ),
    Case(
        PruningJobSpec,
        "a model of several inputs needs",
        "spec",
        {**_arrays(), "model.inputs": [{"name": "a", "shape": [1, 8]}, {"name": "b", "shape": [1, 8]}]},
        {
            **_arrays(uri="cards.npy"),
            "model.inputs": [{"name": "a", "shape": [1, 8]}, {"name": "b", "shape": [1, 8]}],
        },
    ),
    Case(
        Images,
        "images.sha256 is of a .zip file",
        "spec.data.images",
        _pictures(uri="photos.zip", sha256="ab" * 32),
        _pictures(uri="photos", sha256="ab" * 32),
    ),
    Case(
        Images,
        "images.mean and images.std come together",
        "spec.data.images",
        _pictures(mean=[0.5, 0.5, 0.5], std=[1, 1, 1]),
        _pictures(mean=[0.5, 0.5, 0.5], std=[1]),
    ),
    Case(
        Images,
        "images.std divides",
        "spec.data.images",
        _pictures(mean=[0], std=[0.1]),
        _pictures(mean=[0], std=[0]),
    ),
    Case(
        PruningJobSpec,
        "data.lines needs model.inputs",
        "spec",
        _lines([1, 64], [8, 64]),
        _lines([1, 64], [1, 32]),
    ),
    Case(
        PruningJobSpec,
        "without data.factory or images.labels there are no labels",
        "spec",
        {**_pictures(labels=_LABELS), "evaluation": {"metric": "accuracy", "loss": "mse"}},
        {**_pictures(), "evaluation": {"metric": "accuracy"}},
    ),
    Case(
        PruningJobSpec,
        "evaluation.form says what agreement compares",
        "spec",
        {**_pictures(), "evaluation": {"form": "map", "threshold": 0.5}},
        {**_pictures(labels=_LABELS), "evaluation": {"form": "map"}},
    ),
    Case(
        PruningJobSpec,
        "without labels the loss is",
        "spec",
        {**_pictures(), "evaluation": {"loss": "cross_entropy"}},
        {**_pictures(), "evaluation": {"loss": "mse"}},
    ),
    Case(
        PruningJobSpec,
        "without labels no baseline can be trained",
        "spec",
        {**_UNTRAINED, "evaluation": {"metric": "agreement"}},
        {"evaluation": {"metric": "agreement"}},
    ),
    Case(
        PruningJobSpec,
        "data.images needs a model of one input",
        "spec",
        {**_pictures(), "model.inputs": [{"name": "x", "shape": [1, 3, 8, 8], "dtype": "float32"}]},
        {**_pictures(), "model.inputs": [{"name": "x", "shape": [1, 3, 8]}]},
    ),
    Case(
        Weights,
        "weights.uri must end in",
        "spec.model.weights",
        {"model.weights": {"uri": "s3://models/net.v2.pdparams"}},
        {"model.weights": {"uri": "s3://models/net.pdparams.gz"}},
    ),
    Case(
        Model,
        "inputs names an input twice",
        "spec.model",
        {"model.inputs": [{"name": "a", "shape": [1, 2]}, {"name": "b", "shape": [1, 2]}]},
        {"model.inputs": [{"name": "a", "shape": [1, 2]}, {"name": "a", "shape": [1, 3]}]},
    ),
    Case(
        Exported,
        "exported.uri must end in",
        "spec.model.exported",
        {"model.factory": None, "model.pretrain": None, "model.exported": {"uri": "s3://models/net.onnx"}},
        {"model.factory": None, "model.pretrain": None, "model.exported": {"uri": "net.pdiparams"}},
    ),
    Case(
        Model,
        "model needs either factory",
        "spec.model",
        {"model.factory": None, "model.pretrain": None, "model.exported": {"uri": "net.pdmodel"}},
        {"model.pretrain": None, "model.exported": {"uri": "net.pdmodel"}},
    ),
    Case(
        Model,
        "model.exported brings its own weights",
        "spec.model",
        {"model.factory": None, "model.pretrain": None, "model.exported": {"uri": "net.pdmodel"}},
        {"model.factory": None, "model.exported": {"uri": "net.pdmodel"}},
    ),
    Case(
        Model,
        "model.beforeExport rewrites the network of a factory",
        "spec.model",
        {"model.beforeExport": "net:fold"},
        {
            "model.factory": None,
            "model.pretrain": None,
            "model.exported": {"uri": "net.pdmodel"},
            "model.beforeExport": "net:fold",
        },
    ),
    Case(
        Model,
        "model.beforeExport is given the module",
        "spec.model",
        {"model.beforeExport": "net:fold", "model.cutAs": "module"},
        {"model.beforeExport": "net:fold", "model.cutAs": "graph"},
    ),
    Case(
        Model,
        "model.exported is cut as the graph that it is",
        "spec.model",
        {"model.cutAs": "graph"},
        {
            "model.factory": None,
            "model.pretrain": None,
            "model.exported": {"uri": "net.pdmodel"},
            "model.cutAs": "module",
        },
    ),
    Case(
        Model,
        "model needs weights",
        "spec.model",
        {"model.pretrain": None, "model.weights": {"uri": "net.npz"}},
        {"model.pretrain": None},
    ),
    Case(
        Model,
        "pretrain.fresh says what is not taken from weights",
        "spec.model",
        {"model.pretrain.fresh": ["fc.*"], "model.weights": {"uri": "net.npz"}},
        {"model.pretrain.fresh": ["fc.*"]},
    ),
    Case(
        Target,
        "target needs at least one of macs, params, size and latency",
        "spec.pruning.target",
        {"pruning.target": {"macs": "50%", "params": "50%", "size": "40%", "latency": "30%"}},
        {"pruning.target": {}},
    ),
    Case(
        FineTune,
        "each of the workers needs a sample of every batch",
        "spec.fineTune",
        {"fineTune": {"workers": 4, "batchSize": 4}},
        {"fineTune": {"workers": 4, "batchSize": 3}},
    ),
    Case(
        Pruning,
        "pruning needs a target",
        "spec.pruning",
        {"pruning": {"layers": [{"match": "conv1", "ratio": 0.5}]}},
        {"pruning": {"layers": []}},
    ),
    Case(
        Pruning,
        "schedule.rounds x schedule.step cannot reach the target",
        "spec.pruning",
        # the same number in both worlds: 3 * 0.1 is a little more than 0.3; the largest target counts
        {"pruning": {"target": {"macs": "1%", "size": "30.0%"}, "schedule": {"rounds": 3, "step": 0.1}}},
        {"pruning": {"target": {"macs": "1%", "size": "30.1%"}, "schedule": {"rounds": 3, "step": 0.1}}},
    ),
    Case(
        PruningJobSpec,
        "a target of latency needs a benchmark",
        "spec",
        {"pruning.target": {"latency": "30%"}},
        {"pruning.target": {"latency": "30%"}, "benchmark": []},
    ),
    Case(
        Convert,
        "format paddle-lite needs backend",
        "spec.convert[1]",
        {"convert": [_X86, _ONNX]},
        {"convert": [_X86, {"format": "onnx", "backend": "arm"}]},
    ),
    Case(
        Constraint,
        "accuracyDrop needs max",
        "spec.constraints[0]",
        _constraint({"metric": "accuracyDrop", "max": "0.5%"}),
        _constraint({"metric": "accuracyDrop", "max": "5ms"}),
    ),
    Case(
        Constraint,
        "latencyP50, latencyP90 needs max",
        "spec.constraints[1]",
        _constraint({"metric": "latencyP50", "max": "1m30s"}, {"metric": "latencyP90", "max": "0.5ms"}),
        _constraint(
            {"metric": "latencyP50", "max": "1s"}, {"metric": "latencyP90", "max": "1s", "min": "1s"}
        ),
    ),
    Case(
        Constraint,
        "modelSize, peakMemory needs max",
        "spec.constraints[0]",
        _constraint({"metric": "modelSize", "max": "1000"}, {"metric": "peakMemory", "max": "1.5Gi"}),
        _constraint({"metric": "modelSize", "min": "50Mi"}),
    ),
    Case(
        Constraint,
        "macs, params needs max",
        "spec.constraints[0]",
        _constraint({"metric": "macs", "max": "300M"}, {"metric": "params", "max": "50%"}),
        _constraint({"metric": "params", "max": "50Mi"}),
    ),
    Case(
        Constraint,
        "speedup needs min",
        "spec.constraints[0]",
        _constraint({"metric": "speedup", "min": "1.3x"}),
        _constraint({"metric": "speedup", "min": "1.3x", "max": "2x"}),
    ),
    Case(
        PruningJobSpec,
        "convert names a format and backend twice",
        "spec",
        {"convert": [_X86, _ARM, _ONNX]},
        {"convert": [_X86, _ARM, _X86]},
    ),
    Case(
        PruningJobSpec,
        "each benchmark needs its format in convert",
        "spec",
        {"convert": [_ONNX], "benchmark": [_ONNX]},
        {"convert": [_ONNX, _ARM], "benchmark": [{"format": "paddle-lite"}]},
    ),
    Case(
        PruningJobSpec,
        "quantize.weights: int16 needs format paddle-lite in convert",
        "spec",
        {"quantize": {"weights": "int16"}, "convert": [_X86], "benchmark": []},
        {"quantize": {"weights": "int16"}, "convert": [_ONNX], "benchmark": [_ONNX]},
    ),
    Case(
        PruningJobSpec,
        "quantize.activations: int8 needs format onnx in convert",
        "spec",
        {"quantize": {"activations": "int8"}, "convert": [_ONNX], "benchmark": [_ONNX]},
        {"quantize": {"activations": "int8"}, "convert": [_X86], "benchmark": []},
    ),
    Case(
        PruningJobSpec,
        "a constraint on latency, memory or speed-up needs a benchmark",
        "spec",
        _constraint({"metric": "peakMemory", "max": "50Mi", "device": "local-x86", "backend": "x86"}),
        _constraint({"metric": "peakMemory", "max": "50Mi", "device": "local-x86", "backend": "arm"}),
    ),
    Case(
        Store,
        "a store is either a claim or a uri",
        "spec.store",
        {"store": {"claim": "models"}},
        {"store": {"claim": "models", "uri": "s3://bucket"}},
    ),
    Case(
        StageResources,
        "gpuWait needs gpu of at least 1",
        "spec.resources[1]",
        {"resources": [{"stages": ["convert"]}, {"gpu": 1, "gpuWait": "10m"}]},
        {"resources": [{"stages": ["convert"]}, {"gpuWait": "10m"}]},
    ),
)
