"""The spec of a PruningJob: what a user asks for. Field docs become the CRD's descriptions."""

from secateur_api.spec.cluster import STORE_MOUNT, PodTemplate, StageResources, Store
from secateur_api.spec.constraint import Constraint, Metric
from secateur_api.spec.convert import Backend, Benchmark, Convert, Format
from secateur_api.spec.data import Arrays, Data, Fit, Images, Layout, Lines, Order, Vocabulary
from secateur_api.spec.fine_tune import Distillation, EarlyStop, FineTune, Teacher
from secateur_api.spec.job import MUTABLE, Budget, Code, PruningJobSpec
from secateur_api.spec.model import (
    AGREEMENT,
    BUILT_IN_LOSSES,
    BUILT_IN_METRICS,
    AnswerForm,
    CutAs,
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
    "AGREEMENT",
    "BUILT_IN_CRITERIA",
    "BUILT_IN_LOSSES",
    "BUILT_IN_METRICS",
    "MUTABLE",
    "STORE_MOUNT",
    "Allocation",
    "AnswerForm",
    "Arrays",
    "Backend",
    "Benchmark",
    "Budget",
    "Code",
    "Constraint",
    "Convert",
    "CutAs",
    "DType",
    "Data",
    "Distillation",
    "EarlyStop",
    "Engine",
    "Evaluation",
    "Exported",
    "FineTune",
    "Fit",
    "Format",
    "Goal",
    "Images",
    "InputSpec",
    "LayerRule",
    "Layout",
    "Lines",
    "Metric",
    "Model",
    "Order",
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
    "Vocabulary",
    "Weights",
]
