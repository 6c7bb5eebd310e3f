"""Jobs whose manifests are kept as snapshots; ``python -m tests.unit.manifests.cases`` writes them anew."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from secateur_api import Stage
from secateur_operator.domain.plan import StageJob
from secateur_operator.gateway.kube.manifests import PodDefaults, job_manifest
from tests.unit.manifests.stage_jobs import stage_job_of

FOLDER = Path(__file__).parent / "snapshots"
PRIORITY_CLASS = "secateur-test-batch"
RUNTIME_CLASS = "secateur-test-runtime"
SERVICE_ACCOUNT = "bucket-reader"

_GPU = {"resources": [{"stages": ["sensitivity", "round"], "cpu": "4", "memory": "16Gi", "gpu": 2}]}
_RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
}
TEMPLATE: dict[str, Any] = {
    "metadata": {"labels": {"team": "vision"}, "annotations": {"sidecar.istio.io/inject": "false"}},
    "spec": {
        "serviceAccountName": SERVICE_ACCOUNT,
        "priorityClassName": PRIORITY_CLASS,
        "runtimeClassName": RUNTIME_CLASS,
        "nodeSelector": {"node-type": "accelerated"},
        "affinity": {
            "nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": {
                    "nodeSelectorTerms": [
                        {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a", "b"]}]}
                    ]
                }
            }
        },
        "tolerations": [
            {"key": "dedicated", "operator": "Equal", "value": "gpu", "effect": "NoSchedule"},
            {
                "key": "node.kubernetes.io/unreachable",
                "operator": "Exists",
                "effect": "NoExecute",
                "tolerationSeconds": 600,
            },
        ],
        "imagePullSecrets": [{"name": "team-registry"}],
        "securityContext": {"fsGroup": 2000},
        "initContainers": [
            {
                "name": "unpack",
                "image": "registry.example.com/data:3",
                "volumeMounts": [{"name": "data", "mountPath": "/data"}],
                "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}},
                "securityContext": _RESTRICTED,
            }
        ],
        "containers": [
            {
                "name": "stage",
                "env": [
                    {
                        "name": "DATA_TOKEN",
                        "valueFrom": {"secretKeyRef": {"name": "data", "key": "token"}},
                    },
                    {"name": "TMPDIR", "value": "/scratch"},
                ],
                "envFrom": [{"configMapRef": {"name": "team"}}],
                "volumeMounts": [
                    {"name": "data", "mountPath": "/data", "readOnly": True},
                    {"name": "scratch", "mountPath": "/scratch"},
                ],
                "resources": {"limits": {"example.com/nic": "1"}},
            }
        ],
        "volumes": [
            {"name": "data", "emptyDir": {}},
            {"name": "scratch", "persistentVolumeClaim": {"claimName": "scratch"}},
            {"name": "tmp", "emptyDir": {"sizeLimit": "8Gi"}},
        ],
    },
}


@dataclass(frozen=True)
class Case:
    """One Job and the settings that it is built with."""

    job: StageJob
    defaults: PodDefaults = field(default_factory=PodDefaults)

    @property
    def manifest(self) -> dict[str, Any]:
        """The Job as the API server would get it."""
        return job_manifest(self.job, self.defaults)


S3 = {"uri": "s3://bucket/models", "secret": "s3"}
CASES: dict[str, Case] = {
    "preflight": Case(stage_job_of(Stage.PREFLIGHT)),
    "sensitivity-gpu": Case(
        stage_job_of(Stage.SENSITIVITY, sensitivity={"shards": 4}, store=S3, **_GPU),
    ),
    "round-retry": Case(
        stage_job_of(Stage.ROUND, number=2, attempt=3, seconds=99.2, budget={"retries": 5}, **_GPU)
    ),
    "round-on-cpu": Case(stage_job_of(Stage.ROUND, number=1, attempt=2, on_cpu=True, **_GPU)),
    "round-recall": Case(stage_job_of(Stage.ROUND, number=1, recall=True, queue="team-a", **_GPU)),
    "convert-queued": Case(stage_job_of(Stage.CONVERT, queue="team-a")),
    "benchmark-settings": Case(
        stage_job_of(Stage.BENCHMARK),
        PodDefaults(
            ttl_seconds=60,
            image_pull_policy="Always",
            image_pull_secrets=("registry", "mirror"),
            fs_group=None,
        ),
    ),
    "report-template": Case(
        stage_job_of(Stage.REPORT, store={"claim": "models", "secret": "s3"}, template=TEMPLATE),
        PodDefaults(image_pull_secrets=("registry",)),
    ),
}


def snapshot(case: Case) -> str:
    """Return a manifest as YAML, without the stage's input: that has tests of its own."""
    manifest = case.manifest
    manifest["metadata"]["annotations"]["secateur.dev/input-hash"] = "(of the input)"
    stage = next(c for c in manifest["spec"]["template"]["spec"]["containers"] if c["name"] == "stage")
    stage["env"][0]["value"] = "(the input)"
    return yaml.safe_dump(manifest, sort_keys=False)


if __name__ == "__main__":
    for name, case in CASES.items():
        (FOLDER / f"{name}.yaml").write_text(snapshot(case))
