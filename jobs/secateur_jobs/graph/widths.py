"""Constants that follow the widths: a program has as a number what a narrower network has otherwise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass
class Factors:
    """Axes of the input whose product is that of axes of the output."""

    inputs: list[int]
    outputs: list[int]
    lengths: list[int]
    """Of ``outputs``, in the first run."""
    is_open: bool
    """Whether the program leaves one of ``outputs`` open (-1) or computes it."""
    free: int
    """Which of ``outputs`` takes what the others leave of a width that changes."""

    @property
    def is_split(self) -> bool:
        """Whether a width becomes several that are constants of the program."""
        return not self.is_open and sum(length > 1 for length in self.lengths) > 1

    def follows(self, owner: np.ndarray) -> list[int]:
        """Return the axes along which alone the channels lie that own the positions of the split width.

        ``owner``: for each position the channel that it belongs to, -1 for none.
        """
        if owner.size != math.prod(self.lengths):
            return []
        found = []
        for place, length in enumerate(self.lengths):
            rows = np.moveaxis(owner.reshape(self.lengths), place, 0).reshape(length, -1)
            if length > 1 and all(len(np.unique(row[row >= 0])) <= 1 for row in rows):
                found.append(self.outputs[place])
        return found


class Reshape:
    """A reshape as what it does to each axis: copied, merged or split.

    Axes are paired from the first to the last by their products. Of a split one factor is free: the -1 of the
    target, else the largest that the program has as a constant. The others stay as they are.
    """

    def __init__(
        self, before: Sequence[int], after: Sequence[int], target: Sequence[int], is_constant: Sequence[bool]
    ) -> None:
        """``before`` and ``after`` are shapes of one run; ``target`` is the program's own, with its -1.

        ``is_constant`` says of each axis of ``after`` whether the program has it as a constant; the others
        are computed from shapes at each run, and follow by themselves.
        """
        self._rank, self._fixed, self._is_constant = len(after), list(after), list(is_constant)
        self.factors = [
            Factors(
                inputs,
                outputs,
                lengths=[after[axis] for axis in outputs],
                is_open=any(target[axis] == -1 or not is_constant[axis] for axis in outputs),
                free=_free(outputs, after, target, is_constant),
            )
            for inputs, outputs in _paired(before, after)
        ]

    def target(self, now: Sequence[int], computed: Sequence[int]) -> list[int]:
        """Return the shape to reshape to where the input has the shape ``now``.

        ``computed`` is the program's target of this run. Raises ValueError where it cannot be: a width that
        the other factors do not divide.
        """
        shape = [1] * self._rank
        for factors in self.factors:
            width = math.prod(now[axis] for axis in factors.inputs)
            for axis in factors.outputs:
                shape[axis] = self._fixed[axis] if self._is_constant[axis] else computed[axis]
            others = math.prod(shape[axis] for axis in factors.outputs if axis != factors.free)
            if width % others:
                raise ValueError(f"a width of {width} cannot be split into {others} equal parts")
            shape[factors.free] = width // others
        return shape


def _free(
    outputs: Sequence[int], after: Sequence[int], target: Sequence[int], is_constant: Sequence[bool]
) -> int:
    open_ones = [axis for axis in outputs if target[axis] == -1]
    return (
        open_ones[0] if open_ones else max(outputs, key=lambda axis: (is_constant[axis], after[axis], axis))
    )


def _paired(before: Sequence[int], after: Sequence[int]) -> list[tuple[list[int], list[int]]]:
    """Pair axes of equal products, from the first on; axes of length 1 are nobody's, but a batch of 1."""
    pairs: list[tuple[list[int], list[int]]] = []
    left = [axis for axis, length in enumerate(before) if length != 1]
    right = [axis for axis, length in enumerate(after) if length != 1]
    if before and after and before[0] == after[0] == 1:
        pairs.append(([0], [0]))
    i = j = 0
    while i < len(left) or j < len(right):
        first_left, first_right = i, j
        product_left = before[left[i]] if i < len(left) else 1
        product_right = after[right[j]] if j < len(right) else 1
        i, j = min(i + 1, len(left)), min(j + 1, len(right))
        while product_left != product_right:
            if product_left < product_right:
                product_left *= before[left[i]]
                i += 1
            else:
                product_right *= after[right[j]]
                j += 1
        pairs.append((left[first_left:i], right[first_right:j]))
    return pairs


def share_of(sections: Sequence[int], before: int, now: int) -> list[int]:
    """Return the sections of a split axis that was ``before`` wide and is ``now``: each keeps its share."""
    if -1 in sections or before == now:
        return list(sections)
    shares = [section * now // before for section in sections]
    shares[-1] += now - sum(shares)
    return shares


def slice_of(start: int, end: int, before: int, now: int) -> tuple[int, int]:
    """Return where a slice of an axis lies that was ``before`` wide and is ``now``: it keeps its share."""
    if before == now or start < 0:
        return start, end
    return start * now // before, end if end > before or end < 0 else end * now // before
