"""The contract of Secateur: the PruningJob resource and what stages are told and answer."""

from secateur_api.base import API_VERSION, GROUP, KIND, VERSION
from secateur_api.resource import InvalidResource, Problem, PruningJob, parse_job
from secateur_api.spec import PruningJobSpec
from secateur_api.stage import ExitCode, Stage, StageInput, StageResult, StageSummary, unit_name
from secateur_api.status import PruningJobStatus

__all__ = [
    "API_VERSION",
    "GROUP",
    "KIND",
    "VERSION",
    "ExitCode",
    "InvalidResource",
    "Problem",
    "PruningJob",
    "PruningJobSpec",
    "PruningJobStatus",
    "Stage",
    "StageInput",
    "StageResult",
    "StageSummary",
    "parse_job",
    "unit_name",
]
