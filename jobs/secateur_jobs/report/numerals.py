"""Numbers as a reader sees them: signs, percentages, and the job's own metric."""

from __future__ import annotations

from secateur_api.spec import AGREEMENT, BUILT_IN_METRICS, Evaluation

MINUS = "\N{MINUS SIGN}"
_SHARES = ("accuracy", "top5_accuracy", AGREEMENT)


def share(fraction: float, digits: int = 1) -> str:
    """Write a fraction as a percentage: ``0.503`` is ``"50.3%"``."""
    return f"{fraction * 100:.{digits}f}%".replace("-", MINUS)


def signed_share(fraction: float, digits: int = 1) -> str:
    """Write a relative change with its sign; what rounds to zero has none."""
    text = f"{abs(fraction) * 100:.{digits}f}%"
    if not text.strip("0.%"):
        return text
    return f"{'+' if fraction > 0 else MINUS}{text}"


def metric_value(value: float, evaluation: Evaluation) -> str:
    """Write a value of the job's metric: the built-in ones are shares, others are plain numbers."""
    if evaluation.metric in _SHARES:
        return share(value, 2)
    return f"{value:.4g}".replace("-", MINUS)


def metric_name(evaluation: Evaluation) -> str:
    """Name the metric: ``top-5 accuracy``, ``accuracy of output 1``, or the callable's own name."""
    name = "top-5 accuracy" if evaluation.metric == "top5_accuracy" else evaluation.metric.rsplit(":", 1)[-1]
    judges_one = evaluation.metric in BUILT_IN_METRICS and evaluation.output is not None
    return f"{name} of output {evaluation.output}" if judges_one else name


def factor(value: float) -> str:
    """Write a factor: ``1.624`` is ``"1.62x"``."""
    return f"{value:.2f}\N{MULTIPLICATION SIGN}"
