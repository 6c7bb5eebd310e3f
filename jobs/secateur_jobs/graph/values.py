"""What flows through a rebuilt program: tensors, and what it computes of shapes."""

from __future__ import annotations

from typing import Any

from secateur_jobs.paddle_env import paddle

Value = Any
"""A tensor, a whole number, a float, or a list of either."""


def numbers(value: Value) -> list[int]:
    """Return whole numbers that stand as a constant, in a list, or in tensors."""
    if isinstance(value, paddle.Tensor):
        return [int(number) for number in value.numpy().reshape(-1)]
    if isinstance(value, (list, tuple)):
        return [number for one in value for number in numbers(one)]
    return [int(value)]


def is_plain(value: Value) -> bool:
    """Whether it is no tensor: such have other types while they are traced."""
    if isinstance(value, (list, tuple)):
        return all(is_plain(one) for one in value)
    return isinstance(value, (int, float))


def alone(value: Value) -> Value:
    """Return the one number of a list of one; anything else as it is."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value
