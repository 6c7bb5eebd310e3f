"""The environment of a stage's container: what the stage is told, and where it may write."""

from __future__ import annotations

from secateur_api.stage import (
    INPUT_LIMIT,
    INPUT_VARIABLE,
    RECALL_VARIABLE,
    SHARD_VARIABLE,
    TERMINATION_VARIABLE,
)
from secateur_operator.domain.plan import StageJob
from secateur_operator.gateway.kube.manifests.resources import gpus_of
from secateur_operator.gateway.protocol import Refused

RESERVED = (INPUT_VARIABLE, RECALL_VARIABLE, SHARD_VARIABLE, TERMINATION_VARIABLE)
"""Variables by which a stage is told what to do; a template may not set them."""
SCRATCH = "/tmp"
"""The one folder, besides the store, that a stage may write to."""


def environment(job: StageJob) -> list[dict[str, str]]:
    """Return the container's variables. Raises Refused if the input is too long for one."""
    size = len(job.input_json.encode())
    if size > INPUT_LIMIT:
        raise Refused(
            f"spec: the input of stage {job.stage.value} has {size} bytes; {INPUT_LIMIT} are allowed: "
            "it is told in one environment variable; put long args into a file that the factory reads"
        )
    values = {INPUT_VARIABLE: job.input_json, "TMPDIR": SCRATCH, "HOME": SCRATCH, "PYTHONUNBUFFERED": "1"}
    if job.recall:
        values[RECALL_VARIABLE] = "1"
    if not gpus_of(job):  # an image or a node may show every GPU to every pod
        values["CUDA_VISIBLE_DEVICES"] = ""
    return [{"name": name, "value": _literal(value)} for name, value in values.items()]


def _literal(value: str) -> str:
    """Return the text that the kubelet turns into ``value``: it replaces ``$(NAME)`` and ``$$``."""
    return value.replace("$", "$$")
