"""What a stage's container asks of its node."""

from __future__ import annotations

from typing import Any

from secateur_operator.domain.plan import StageJob
from secateur_operator.domain.waiting import resources_of

GPU = "nvidia.com/gpu"
RECALL_CPU = "100m"
RECALL_MEMORY = "256Mi"
"""A recall reads one small file; it was seen to use 40 MiB with a volume and 80 MiB with S3."""


def gpus_of(job: StageJob) -> int:
    """Return the GPUs of each pod; 0 where it runs on the CPU."""
    return 0 if job.recall or job.on_cpu else resources_of(job.spec, job.stage).gpu


def resources(job: StageJob) -> dict[str, Any]:
    """Return requests and limits: CPU has no limit, so that idle cores are used."""
    if job.recall:
        return _sized(RECALL_CPU, RECALL_MEMORY)
    wanted = resources_of(job.spec, job.stage)
    sized = _sized(wanted.cpu, wanted.memory)
    gpus = gpus_of(job)
    if gpus:
        sized["limits"][GPU] = str(gpus)
    return sized


def _sized(cpu: str, memory: str) -> dict[str, Any]:
    return {"requests": {"cpu": cpu, "memory": memory}, "limits": {"memory": memory}}
