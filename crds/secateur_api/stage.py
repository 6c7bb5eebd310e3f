"""The stage contract: what a stage process is given, what it says while it works, what it leaves behind.

A stage is one process, ``python -m secateur_jobs STAGE``.

* Input: one JSON document, :class:`StageInput`, in the environment variable ``SECATEUR_INPUT``.
* Progress: lines on stdout that start with ``secateur-progress: `` followed by :class:`Progress` as JSON.
* Output: :class:`StageResult`, committed last and in one step as ``units/<unit>/result.json`` in the store.
* Termination message: :class:`StageSummary`, at most 2 KiB, in the file that
  ``SECATEUR_TERMINATION_LOG`` names.
* Exit code: :class:`ExitCode`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from enum import IntEnum
from importlib.metadata import version
from typing import Annotated, Any

from pydantic import Field

from secateur_api.base import Contract
from secateur_api.results import FileRef as FileRef
from secateur_api.results import StageOutcome
from secateur_api.sources import Sources
from secateur_api.spec import PruningJobSpec
from secateur_api.spec.types import Stage as Stage

INPUT_VARIABLE = "SECATEUR_INPUT"
INPUT_LIMIT = 128 * 1024 - len(f"{INPUT_VARIABLE}=\0")
"""Longest input in bytes: Linux gives one variable, with its name and its end, 128 KiB (MAX_ARG_STRLEN)."""
TERMINATION_VARIABLE = "SECATEUR_TERMINATION_LOG"
TERMINATION_DEFAULT = "/dev/termination-log"
TERMINATION_LIMIT = 2048
SHARD_VARIABLE = "JOB_COMPLETION_INDEX"
RECALL_VARIABLE = "SECATEUR_RECALL"
"""Set to 1: only say again what the store holds of this unit, do no work; not there is a retryable fault."""
NO_RESULT = " holds no result of "
"""In the message of that fault where the store has nothing of the unit; else it says what is damaged."""
TO_DO = "; the work is to be done again"
"""Ends the message of that fault."""
LITE_PYTHON_VARIABLE = "SECATEUR_LITE_PYTHON"
PROGRESS_PREFIX = "secateur-progress: "
RESULT_SCHEMA = 1
METHOD = 4
"""Counts the changes of what a stage does with the same input since the last release."""


class ExitCode(IntEnum):
    """What the exit code of a stage means; the numbers follow sysexits.h."""

    DONE = 0
    """The result is committed."""
    INVALID_INPUT = 64
    """The user must change the spec, the code or the model; trying again cannot help."""
    MISSING_DATA = 66
    """Weights, a data set or an upstream artifact is missing or corrupt."""
    UNREACHABLE = 69
    """The target or a constraint cannot be reached with this model."""
    INTERNAL = 70
    """A defect in Secateur; the log has the traceback."""
    RETRYABLE = 75
    """A passing fault: full disk, lost store, killed child. Worth another try."""

    @property
    def is_user_error(self) -> bool:
        """Whether another attempt with the same input cannot help."""
        return self in (ExitCode.INVALID_INPUT, ExitCode.MISSING_DATA, ExitCode.UNREACHABLE)


class RoundRequest(Contract):
    """What one pruning round shall do."""

    number: Annotated[int, Field(ge=1)]
    """1, 2, ...; rolled-back rounds count."""
    share: Annotated[float, Field(gt=0, le=1)]
    """How much of the whole plan (target and layer rules) shall be reached after this round."""
    base: str | None = None
    """Unit of the accepted round to go on from; None starts from the unpruned model."""


class Upstream(Contract):
    """Units of finished stages that this stage reads."""

    pretrain: str | None = None
    preflight: str | None = None
    sensitivity: list[str] = []
    """One unit per shard."""
    rounds: list[str] = []
    """All finished rounds in order (for the report)."""
    model: str | None = None
    """The round whose model is converted, measured and reported."""
    convert: str | None = None
    quantize: str | None = None
    benchmark: list[str] = []

    @property
    def shipped(self) -> str | None:
        """The unit whose converted models are measured and shipped."""
        return self.quantize or self.convert


class StageInput(Contract):
    """Everything that a stage process is told."""

    schema_version: int = RESULT_SCHEMA
    job: str
    """Name of the PruningJob, for logs and the report."""
    stage: Stage
    spec: PruningJobSpec
    """The resolved spec: every default written out."""
    store: str
    """fsspec URI of the artifact store."""
    upstream: Upstream = Upstream()
    shard: int = 0
    """Index of this process, 0..shards-1 (overridden by ``JOB_COMPLETION_INDEX``)."""
    shards: int = 1
    round: RoundRequest | None = None
    verdict: dict[str, Any] | None = None
    """For the report: the verdict that the control plane reached (constraints and their measurements)."""


class Progress(Contract):
    """One progress line."""

    percent: Annotated[float, Field(ge=0, le=100)]
    """Of this process's own work."""
    step: str
    """What is being done: ``fine-tune epoch 2/3``."""
    metric: float | None = None
    """Current value of the job's metric, where there is one."""
    eta_seconds: float | None = None
    """Estimated time to the end of this process."""
    at: float
    """Seconds since the epoch."""


class StageSummary(Contract):
    """The termination message: enough for the status, at most 2 KiB."""

    schema_version: int = RESULT_SCHEMA
    stage: Stage
    unit: str | None = None
    """Name of the unit in the store; None if it failed before it was known."""
    ok: bool
    reason: str = "Done"
    """CamelCase, one of :class:`secateur_api.conditions.Reason`."""
    message: str = ""
    """For a failure: what, where, and what would be right. Else a note: why finished work was done again."""
    damaged: str | None = None
    """For a failure: the unit of an earlier stage that is not whole in the store any more."""
    reused: bool = False
    """The result was already in the store; nothing was done again."""
    seconds: float = 0.0
    """Wall time of the work that made the result (also when it was reused)."""
    measured_at: str | None = None
    """When the result was made (also when it was reused), RFC 3339."""
    outcome: StageOutcome = StageOutcome()
    """The stage's numbers."""


class StageResult(Contract):
    """The committed result: the summary, the files, and what made them."""

    summary: StageSummary
    files: dict[str, FileRef] = {}
    """Name (such as ``checkpoint``) to file."""
    read: list[str] = []
    """Paths of other units' files that it was made from; files are named by their content."""
    modules: dict[str, str] = {}
    """Files of the user's modules outside ``spec.code``, imported by the end of the work: path to SHA-256."""
    toolchain: dict[str, str] = {}
    """Package to version."""


def unit_path(unit: str, filename: str) -> str:
    """Return the path of something of a unit, relative to the store."""
    return f"units/{unit}/{filename}"


READS_SOURCES = (Stage.PRETRAIN, Stage.PREFLIGHT)
"""Stages whose units are named by the content of data, code and weights."""

_PARTS: dict[Stage, tuple[str, ...]] = {
    Stage.PRETRAIN: ("model", "data", "evaluation", "seed", "code"),
    Stage.PREFLIGHT: ("model", "data", "evaluation", "pruning", "convert", "seed", "code"),
    Stage.SENSITIVITY: ("model", "data", "evaluation", "pruning", "sensitivity", "seed", "code"),
    Stage.ROUND: ("model", "data", "evaluation", "pruning", "fineTune", "seed", "code"),
    Stage.CONVERT: ("model", "data", "evaluation", "convert", "code"),
    Stage.QUANTIZE: ("model", "data", "evaluation", "convert", "quantize", "seed", "code"),
    Stage.BENCHMARK: ("model", "data", "evaluation", "convert", "benchmark", "code"),
    Stage.REPORT: (),
}


def unit_name(request: StageInput, sources: Sources | None = None) -> str:
    """Name the unit of work: equal inputs give an equal name, so that finished work is found again.

    ``sources`` is the content that a stage of :data:`READS_SOURCES` found; later units follow by the names
    of those.
    The schedule is left out (it decides which rounds are asked for, not what one round does), and so
    is everything in the spec that the stage does not read. Processes that work together (a round's) have one
    unit, which the first of them commits. The report reads the whole request. Another
    version of Secateur may do the same work otherwise, so it names other units.
    """
    parts: dict[str, Any]
    if request.stage is Stage.REPORT:
        parts = request.to_wire()
        parts.pop("store")
        for judged in (parts.get("verdict") or {}).get("rounds", []):
            judged.pop("job", None)  # another run has other names for the same
    else:
        spec = request.spec.to_wire()
        spec["data"] = request.spec.data.decides()
        parts = {key: spec.get(key) for key in _PARTS[request.stage]}
        if request.stage is Stage.PRETRAIN:
            later = ("cutAs", "beforeExport")
            parts["model"] = {k: v for k, v in parts["model"].items() if k not in later}
        if "pruning" in parts:
            parts["pruning"] = {k: v for k, v in parts["pruning"].items() if k != "schedule"}
        target = request.spec.pruning.target
        if request.stage is Stage.PREFLIGHT and target is not None and target.latency is not None:
            parts["benchmark"] = spec["benchmark"]  # which says where latency is measured
        upstream = request.upstream
        parts["upstream"] = {
            Stage.PRETRAIN: [],
            Stage.PREFLIGHT: [upstream.pretrain],
            Stage.SENSITIVITY: [upstream.preflight],
            Stage.ROUND: [upstream.preflight, sorted(upstream.sensitivity)],
            Stage.CONVERT: [upstream.preflight, upstream.model],
            Stage.QUANTIZE: [upstream.preflight, upstream.model, upstream.convert],
            Stage.BENCHMARK: [upstream.shipped],
        }[request.stage]
        if request.round is not None:
            parts["round"] = {"share": round(request.round.share, 6), "base": request.round.base}
        parts["shard"] = [0 if request.stage.is_joint else request.shard, request.shards]
        if sources is not None:
            parts["sources"] = sources.to_wire()
        if request.spec.fresh is not None:
            parts["fresh"] = request.spec.fresh
    parts["secateur"] = [version("secateur"), METHOD]
    return f"{request.stage.value}-{digest_of(parts)}"


def digest_of(decides: Mapping[str, Any]) -> str:
    """Return a name for something by everything (as JSON) that decides it: equal parts give an equal name."""
    text = json.dumps(decides, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:20]
