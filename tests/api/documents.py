"""PruningJobs for the API server: the least that is valid, one with every field, and the largest."""

from __future__ import annotations

from typing import Any

from tests.integration.real import with_changes

MINIMAL: dict[str, Any] = {
    "model": {
        "factory": "zoo:net",
        "pretrain": {"epochs": 1},
        "inputs": [{"name": "image", "shape": [1, 1, 32, 32]}],
    },
    "data": {"factory": "zoo:data"},
    "pruning": {"target": {"macs": "50%"}},
}
FULL: dict[str, Any] = {
    "fresh": "2026-11-26",
    "model": {
        "factory": "zoo:net",
        "args": {"width": 8, "deep": {"list": [1, "two", None]}, "nothing": None},
        "weights": {
            "uri": "s3://models/net.safetensors",
            "sha256": "ab" * 32,
            "prefix": "ernie.",
            "ignore": ["cls.*"],
        },
        "pretrain": {"epochs": 1, "learningRate": 0.01, "batchSize": 8, "fresh": ["classifier.*"]},
        "trained": False,
        "cutAs": "auto",
        "beforeExport": "shop.nets:fold",
        "inputs": [{"name": "image", "shape": [1, 1, 32, 32], "dtype": "float32"}],
    },
    "data": {"factory": "zoo:data", "args": {"lines": 4000}, "version": "2026-11"},
    "evaluation": {
        "metric": "accuracy",
        "threshold": 0.3,
        "goal": "maximize",
        "loss": "cross_entropy",
        "output": "maps",
        "label": 0,
        "classAxis": 1,
        "batchSize": 64,
    },
    "constraints": [
        {"metric": "accuracyDrop", "max": "1%"},
        {"metric": "modelSize", "max": "50Mi", "format": "paddle-lite", "backend": "arm"},
        {"metric": "speedup", "min": "1.3x", "device": "local-x86", "format": "onnx"},
    ],
    "sensitivity": {
        "mode": "exact",
        "shards": 4,
        "ratios": [0.25, 0.5],
        "dataFraction": 0.5,
        "tolerance": 0.01,
        "confidence": 0.95,
        "cap": 0.1,
        "file": {"uri": "s3://models/sen.pickle", "sha256": "ab" * 32},
    },
    "pruning": {
        "engine": "auto",
        "target": {"macs": "50%", "params": "40%", "size": "30%", "latency": "20%"},
        "criterion": "l1_norm",
        "allocation": "uniform",
        "layers": [{"match": "conv1", "ratio": 0}],
        "protect": {"first": 0.1, "last": 0},
        "align": 8,
        "schedule": {"rounds": 3, "step": 0.2, "minStep": 0.02, "floor": "2%"},
        "repair": {"leastSquares": True, "batchNorm": True, "samples": 512},
    },
    "fineTune": {
        "dataFraction": 1,
        "epochs": 3,
        "learningRate": 0.001,
        "batchSize": 32,
        "distillation": {
            "temperature": 1,
            "weight": 0.7,
            "features": 1,
            "teacher": {
                "factory": "zoo:large",
                "args": {"width": 64},
                "weights": {
                    "uri": "s3://models/large.npz",
                    "sha256": "ab" * 32,
                    "prefix": "net.",
                    "ignore": ["head.*"],
                },
            },
        },
        "ema": 0.99,
        "clip": 5,
        "earlyStop": {"gain": 0.001, "confidence": 0.95},
        "amp": True,
        "workers": 2,
    },
    "convert": [
        {"format": "paddle-lite", "backend": "arm"},
        {"format": "paddle-lite", "backend": "x86"},
        {"format": "onnx"},
    ],
    "quantize": {"weights": "int8", "activations": "int8", "maxDrop": "0.5%"},
    "benchmark": [{"device": "local-x86", "format": "onnx", "warmup": 20, "runs": 200}],
    "budget": {"wallClock": "1h30m", "retries": 3},
    "seed": 7,
    "code": {"uri": "s3://code/mine.zip", "sha256": "cd" * 32},
    "image": "registry.example/mine:1",
    "store": {"uri": "s3://bucket/prefix", "secret": "s3-keys"},
    "resources": [{"stages": ["round"], "cpu": "2", "memory": "4Gi", "gpu": 1, "gpuWait": "10m"}],
    "queue": "gpus",
    "template": {
        "metadata": {"labels": {"team": "vision"}},
        "spec": {"nodeSelector": {"zone": "a"}, "tolerations": [{"key": "gpu", "operator": "Exists"}]},
    },
    "suspend": False,
}


def largest() -> dict[str, Any]:
    """Return a spec with every list and text as long as the schema allows, and rules that look at all."""
    onnx = {"device": "local-x86", "format": "onnx"}
    lite = {"device": "local-x86", "format": "paddle-lite"}
    stages = ["pretrain", "preflight", "sensitivity", "round", "convert", "quantize", "benchmark", "report"]
    return {
        **FULL,
        "model": {
            "factory": f"m:{'f' * 251}",
            "args": {f"argument{number}": "x" * 100 for number in range(2000)},
            "weights": {
                "uri": f"s3://{'w' * 2038}.npz",
                "sha256": "ab" * 32,
                "prefix": "p" * 252 + ".",
                "ignore": ["i" * 253] * 64,
            },
            "pretrain": {"epochs": 1, "fresh": ["f" * 253] * 64},
            "inputs": [{"name": f"{'i' * 61}{number:02}", "shape": [2**31] * 8} for number in range(16)],
        },
        "evaluation": {"metric": f"m:{'f' * 251}", "loss": f"m:{'f' * 251}", "output": "o" * 253},
        # the last benchmark is the one that each of them needs
        "constraints": [{"metric": "latencyP90", "max": "1" * 31 + "s", **onnx}] * 32,
        "benchmark": [*[lite] * 7, onnx],
        "sensitivity": {"ratios": [0.123456789] * 32, "shards": 256},
        "pruning": {
            **FULL["pruning"],
            "criterion": f"m:{'f' * 251}",
            "layers": [{"match": "m" * 253, "ratio": 0.123456789}] * 256,
        },
        "code": {"uri": "u" * 2048, "sha256": "cd" * 32},
        "image": "i" * 512,
        "store": {"uri": "u" * 2048, "secret": "s" * 253},
        "resources": [
            {"stages": stages, "cpu": "1" * 32, "memory": "1" * 32, "gpu": 64, "gpuWait": "1" * 31 + "h"}
        ]
        * 8,
        "queue": "q" * 253,
    }


def job(spec: dict[str, Any], changes: dict[str, Any] | None = None, name: str = "digits") -> dict[str, Any]:
    """Return a PruningJob; ``changes`` are by dotted path, None removes."""
    return {
        "apiVersion": "secateur.dev/v1alpha1",
        "kind": "PruningJob",
        "metadata": {"name": name},
        "spec": with_changes(spec, changes or {}),
    }


def as_read(stored: dict[str, Any]) -> dict[str, Any]:
    """Return the spec that the API server stored; without labels with the metric that follows."""
    spec: dict[str, Any] = stored["spec"]
    if "factory" not in spec["data"]:
        spec = {**spec, "evaluation": {"metric": "agreement", **spec["evaluation"]}}
    return spec
