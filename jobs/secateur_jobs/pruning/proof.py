"""Proof that a cut does what it claims: the outputs stay those of the net that does not use these channels.

The reference is the *masked* net (see ``masking``). Both are run in float64, where right cuts differ by at
most 4e-14 of the largest output and wrong ones by 7e-8 and more, however much a net damps them; in float32
the two cannot be told apart. A net that does not run in float64, or whose outputs hardly depend on its
channels, is compared at the inputs of its layers too, each on its own scale. Equal cuts on both sides of a
missed coupling would hide it, so groups are cut by unequal amounts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

from secateur_api.spec import InputSpec
from secateur_jobs.explain import RAISED, raised
from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning.engine import ChannelGroup, Keep, PruningEngine
from secateur_jobs.pruning.layers import named_layers, read_widths
from secateur_jobs.pruning.masking import Mask
from secateur_jobs.pruning.received import Received, in_float64
from secateur_jobs.training.forward import eval_mode

TOLERANCE = 1e-9
"""Largest allowed difference in float64, relative to the largest absolute value."""
SINGLE_TOLERANCE = 1e-4
"""The same where a net runs in float32 only."""
_SENSITIVE = 1e-6
"""Least relative difference that masked channels must make for the outputs to say anything of a cut."""


State = dict[str, np.ndarray]
"""Every tensor of a net by structured name, and what its layers say of their widths."""


def sample_inputs(inputs: list[InputSpec], seed: int = 0, batch: int = 2) -> list[np.ndarray]:
    """Return random inputs of the declared shapes and types with another batch size: normal, or 0/1 ids."""
    random = np.random.default_rng(seed)
    arrays = []
    for spec in inputs:
        shape = (batch, *spec.shape[1:])
        is_float = spec.dtype.value.startswith("float")
        array = random.standard_normal(shape) if is_float else random.integers(0, 2, shape)
        arrays.append(array.astype(spec.dtype.value))
    return arrays


def prove_groups(
    engine: PruningEngine, inputs: list[InputSpec], on_group: Callable[[int, int], None] | None = None
) -> tuple[list[ChannelGroup], dict[str, str]]:
    """Return the groups whose cut is proven, and the layers that lead the others with what went wrong.

    All groups are cut together, each by another share at random, twice. If that fails, both halves are tried,
    and so on down to the groups that fail; those that remain are proven together again. ``on_group`` hears
    (done, total). Leaves the net as it was. Raises what the uncut net's forward raises.
    """
    with _sharpest(engine, runnable_samples(engine.net, inputs)) as samples:
        trial = _Trial(engine, samples, on_group)
        proven = trial.provable(list(engine.groups)) if engine.groups else []
    return proven, trial.refused


@contextmanager
def _sharpest(engine: PruningEngine, samples: list[np.ndarray]) -> Iterator[list[np.ndarray]]:
    """Yield the samples in the precision that the net runs in meanwhile: float64 where it can."""
    net, is_double = engine.net, any(sample.dtype == np.float64 for sample in samples)
    if is_double or engine.name == "paddleslim":  # it does already; PaddleSlim keeps copies in float32
        yield samples
        return
    with in_float64(net):
        doubles = [s.astype(np.float64) if s.dtype.kind == "f" else s for s in samples]
        try:
            runs = all(output.dtype != np.float32 for output in outputs(net, doubles))
        except RAISED:  # an operator without float64, or a type that its forward names
            runs = False
        if runs:
            yield doubles
            return
    yield samples


class _Trial:
    """Finds the largest part of an engine's groups that can be cut together."""

    def __init__(
        self,
        engine: PruningEngine,
        samples: list[np.ndarray],
        on_group: Callable[[int, int], None] | None,
    ) -> None:
        self.refused: dict[str, str] = {}
        self._engine = engine
        self._samples = samples
        self._before = _state(engine.net)
        self._number = {group.name: index for index, group in enumerate(engine.groups)}
        self._settled: set[str] = set()
        self._on_group = on_group

    def provable(self, groups: list[ChannelGroup]) -> list[ChannelGroup]:
        """Return those of ``groups`` that are exact when cut together; note the others."""
        fault = self._fault(groups)
        if fault is None:
            self._settle(groups)
            return groups
        if len(groups) == 1:
            self._refuse(groups[0], fault)
            return []
        middle = len(groups) // 2
        first, second = self.provable(groups[:middle]), self.provable(groups[middle:])
        if not first or not second:
            return first or second
        some_left = len(first) + len(second) < len(groups)  # else they are known to fail
        if some_left and self._fault(first + second) is None:
            return first + second
        return self._added(first, second)

    def _added(self, together: list[ChannelGroup], more: list[ChannelGroup]) -> list[ChannelGroup]:
        """Return ``together`` with those of ``more`` that go along: each half is exact, both are not."""
        for group in more:
            fault = self._fault([*together, group])
            if fault is None:
                together = [*together, group]
            else:
                self._refuse(group, f"{fault} (together with other groups)")
        return together

    def _fault(self, groups: list[ChannelGroup]) -> str | None:
        for draw in (0, 1) if groups else ():
            keep = {group.name: _uneven(group, self._number[group.name], draw) for group in groups}
            fault = check(self._engine, keep, self._samples, self._before)
            if fault is not None:
                return fault
        return None

    def _refuse(self, group: ChannelGroup, fault: str) -> None:
        for name in group.producers:
            tied = "" if name == group.producers[0] else f" (tied to {group.producers[0]})"
            self.refused.setdefault(name, fault + tied)
        self._settle([group])

    def _settle(self, groups: list[ChannelGroup]) -> None:
        self._settled |= {group.name for group in groups}
        if self._on_group is not None:
            self._on_group(len(self._settled), len(self._engine.groups))


def check(
    engine: PruningEngine, keep: Keep, samples: list[np.ndarray], before: State | None = None
) -> str | None:
    """Cut, compare with the masked net, restore; return what is wrong, or None.

    Checks that the pruned net runs, agrees with the masked net, and is restored bit for bit
    (``before``: the net's state where the caller has it already).
    """
    with _sharpest(engine, samples) as sharpest:
        return _check(engine, keep, sharpest, before if sharpest is samples else None)


def _check(engine: PruningEngine, keep: Keep, samples: list[np.ndarray], before: State | None) -> str | None:
    before = _state(engine.net) if before is None else before
    is_double = any(sample.dtype == np.float64 for sample in samples)
    uncut = outputs(engine.net, samples)
    with masked(engine, keep):
        expected = outputs(engine.net, samples)
        is_told = is_double and relative_difference(expected, uncut) > _SENSITIVE
        reference = None if is_told else Received.by(engine, keep, samples)
    fault: str | None = None
    try:
        engine.cut(keep)
        fault = _difference(outputs(engine.net, samples), expected, is_double)
        if fault is None and reference is not None:
            fault = reference.difference(engine.net, samples, TOLERANCE if is_double else SINGLE_TOLERANCE)
    except RAISED as error:  # a wrong cut makes any operator raise anything
        fault = f"forward counts on these widths and fails when cut: {raised(error)}"
    finally:
        engine.restore()
    return fault or _unrestored(before, _state(engine.net))


@contextmanager
def masked(engine: PruningEngine, keep: Keep) -> Iterator[None]:
    """While it lasts, the net is the masked one; it is bit-equal before and after."""
    mask = Mask(named_layers(engine.net), [group for group in engine.groups if group.name in keep])
    try:
        mask.apply(keep)
        yield
    finally:
        mask.remove()


def outputs(net: paddle.nn.Layer, samples: list[np.ndarray]) -> list[np.ndarray]:
    """Return all output tensors of one forward in evaluation mode; the mode is left as it was."""
    with eval_mode(net), paddle.no_grad():
        result = net(*[paddle.to_tensor(sample) for sample in samples])
    return [tensor.numpy() for tensor in paddle.utils.flatten(result) if isinstance(tensor, paddle.Tensor)]


def relative_difference(found: list[np.ndarray], expected: list[np.ndarray]) -> float:
    """Return the largest difference between outputs of equal shapes, relative to each output's maximum."""
    worst = 0.0
    for mine, reference in zip(found, expected, strict=True):
        scale = max(float(np.abs(reference).max(initial=0.0)), 1e-12)
        difference = float(np.abs(mine.astype(np.float64) - reference).max(initial=0.0)) / scale
        worst = float(np.maximum(worst, difference))  # NaN stays NaN, which max() would lose
    return worst


def runnable_samples(net: paddle.nn.Layer, inputs: list[InputSpec]) -> list[np.ndarray]:
    """Two samples, or as many as declared where the model hard-wires its batch size."""
    samples = sample_inputs(inputs)
    try:
        outputs(net, samples)
    except RAISED:  # the user's forward; a real fault raises again right below
        samples = sample_inputs(inputs, batch=inputs[0].shape[0])
        outputs(net, samples)
    return samples


def _uneven(group: ChannelGroup, seed: int, draw: int) -> np.ndarray:
    """Return a choice of channels, of which at least one goes and one stays."""
    random = np.random.default_rng([1000 + seed, draw])
    share = random.uniform(0.2, 0.9)
    width = min(max(1, round(group.channels * share)), group.channels - 1)
    return group.choose(random.random(group.channels), width)


def _difference(found: list[np.ndarray], expected: list[np.ndarray], is_double: bool) -> str | None:
    if [a.shape for a in found] != [a.shape for a in expected]:
        return f"its cut changes the output's shape to {[a.shape for a in found]}"
    difference = relative_difference(found, expected)
    if not difference <= (TOLERANCE if is_double else SINGLE_TOLERANCE):
        return f"broken without warning when cut: the output is off by {difference:.1e} of its maximum"
    return None


def _unrestored(before: State, after: State) -> str | None:
    changed = [k for k in before.keys() | after.keys() if not _same(before.get(k), after.get(k))]
    return f"not restored after the cut: {', '.join(sorted(changed)[:3])}" if changed else None


def _same(one: np.ndarray | None, other: np.ndarray | None) -> bool:
    if one is None or other is None:
        return one is other
    return one.dtype == other.dtype and one.shape == other.shape and np.array_equal(_bits(one), _bits(other))


def _bits(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)


def _state(net: paddle.nn.Layer) -> State:
    names = {id(layer): name for name, layer in named_layers(net).items()}
    widths = {f"{names[id(layer)]}.{name}": np.array(value) for layer, name, value in read_widths(net)}
    return {name: value.numpy().copy() for name, value in net.state_dict().items()} | widths
