"""Phases, condition types and reasons: the words that the status uses."""

from __future__ import annotations

from enum import Enum


class Phase(str, Enum):
    """A printed summary of the conditions."""

    PENDING = "Pending"
    RUNNING = "Running"
    SUSPENDED = "Suspended"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"

    @property
    def is_final(self) -> bool:
        """Whether the job has ended."""
        return self in (Phase.SUCCEEDED, Phase.FAILED)


class ConditionType(str, Enum):
    """Condition types; Ready, Reconciling and Stalled follow kstatus."""

    READY = "Ready"
    """True once the job has Succeeded."""
    RECONCILING = "Reconciling"
    """True while work goes on."""
    STALLED = "Stalled"
    """True when the job has Failed and will not go on by itself."""
    SUSPENDED = "Suspended"
    """True while ``spec.suspend`` holds the job."""
    CONSTRAINTS_MET = "ConstraintsMet"
    """True when every constraint was measured and holds; False when one does not; Unknown before."""


class Reason(str, Enum):
    """Why; reasons of conditions and of failed stages."""

    # running
    QUEUED = "Queued"
    STAGE_RUNNING = "StageRunning"
    RETRYING = "Retrying"
    SUSPENDED = "Suspended"
    RESUMED = "Resumed"
    # waiting for the cluster; the message names the remedy
    LIMIT_REACHED = "LimitReached"
    QUEUE_WAITING = "QueueWaiting"
    POD_STARTING = "PodStarting"
    UNSCHEDULABLE = "Unschedulable"
    IMAGE_UNAVAILABLE = "ImageUnavailable"
    VOLUME_MISSING = "VolumeMissing"
    SECRET_MISSING = "SecretMissing"
    POD_REFUSED = "PodRefused"
    JOB_REFUSED = "JobRefused"
    NODE_LOST = "NodeLost"
    EVICTED = "Evicted"
    OUT_OF_MEMORY = "OutOfMemory"
    # ended well
    DONE = "Done"
    CONSTRAINTS_MET = "ConstraintsMet"
    # ended badly: the judgement
    CONSTRAINTS_NOT_MET = "ConstraintsNotMet"
    TARGET_NOT_REACHED = "TargetNotReached"
    NOT_MEASURED = "NotMeasured"
    # ended badly: the user can mend it
    INVALID_SPEC = "InvalidSpec"
    FACTORY_FAILED = "FactoryFailed"
    CODE_NOT_FOUND = "CodeNotFound"
    DATASET_INVALID = "DatasetInvalid"
    SOURCES_CHANGED = "SourcesChanged"
    WEIGHTS_INVALID = "WeightsInvalid"
    WEIGHTS_MISSING = "WeightsMissing"
    PATTERN_MATCHES_NOTHING = "PatternMatchesNothing"
    NOTHING_PRUNABLE = "NothingPrunable"
    TARGET_UNREACHABLE = "TargetUnreachable"
    TRAINING_DIVERGED = "TrainingDiverged"
    CONVERSION_UNSUPPORTED = "ConversionUnsupported"
    TOOLCHAIN_MISSING = "ToolchainMissing"
    PARITY_MISSED = "ParityMissed"
    PRECISION_MISSED = "PrecisionMissed"
    ARTIFACT_CORRUPT = "ArtifactCorrupt"
    STORE_REFUSED = "StoreRefused"
    # faults
    STORE_FULL = "StoreFull"
    STORE_UNAVAILABLE = "StoreUnavailable"
    KILLED = "Killed"
    WORKER_LOST = "WorkerLost"
    RETRIES_EXHAUSTED = "RetriesExhausted"
    BUDGET_EXCEEDED = "BudgetExceeded"
    INTERNAL_ERROR = "InternalError"
