"""The spec of a PruningJob: what a user asks for. Field docs become the CRD's descriptions."""

from secateur_api.spec.cluster import STORE_MOUNT, PodTemplate, StageResources, Store
from secateur_api.spec.constraint import Constraint, Metric
from secateur_api.spec.convert import Backend, Benchmark, Convert, Format
from secateur_api.spec.fine_tune import Distillation, EarlyStop, FineTune, Teacher
from secateur_api.spec.job import MUTABLE, Budget, Code, PruningJobSpec
from secateur_api.spec.model import (
    BUILT_IN_LOSSES,
    BUILT_IN_METRICS,
    Data,
    DType,
    Evaluation,
    Exported,
    Goal,
    InputSpec,
    Model,
    Pretrain,
    Weights,
)
from secateur_api.spec.pruning import (
    Allocation,
    Engine,
    LayerRule,
    Protect,
    Pruning,
    Repair,
    Schedule,
    Target,
)
from secateur_api.spec.sensitivity import Sensitivity, SensitivityFile, SensitivityMode
from secateur_api.spec.types import BUILT_IN_CRITERIA

__all__ = [
    "BUILT_IN_CRITERIA",
    "BUILT_IN_LOSSES",
    "BUILT_IN_METRICS",
    "MUTABLE",
    "STORE_MOUNT",
    "Allocation",
    "Backend",
    "Benchmark",
    "Budget",
    "Code",
    "Constraint",
    "Convert",
    "DType",
    "Data",
    "Distillation",
    "EarlyStop",
    "Engine",
    "Evaluation",
    "Exported",
    "FineTune",
    "Format",
    "Goal",
    "InputSpec",
    "LayerRule",
    "Metric",
    "Model",
    "PodTemplate",
    "Pretrain",
    "Protect",
    "Pruning",
    "PruningJobSpec",
    "Repair",
    "Schedule",
    "Sensitivity",
    "SensitivityFile",
    "SensitivityMode",
    "StageResources",
    "Store",
    "Target",
    "Teacher",
    "Weights",
]
