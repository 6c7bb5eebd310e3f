"""The engine that cuts as PaddleSlim does: its traced dependency search, its plans.

The search starts at the output channels of each Conv2D and Linear, in the order of definition, and asks
PaddleSlim's prune workers which axes of which parameters follow. What the workers cannot follow is kept
with the reason. Which channels go is not PaddleSlim's business here: any choice runs through its
``PruningPlan``.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from secateur_api.spec import InputSpec
from secateur_jobs.explain import RAISED, raised
from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning import slim
from secateur_jobs.pruning.engine import ChannelGroup, Keep, Role, Slice
from secateur_jobs.pruning.layers import (
    TRANSPOSED,
    Home,
    cuttable_layers,
    describe_widths,
    homes,
    is_depthwise,
)

_AUXILIARY = ("Mask", "XShape", "SavedMean", "SavedVariance", "MeanOut", "VarianceOut", "ReserveSpace")
_OUTSIDE = 1  # in an array of channel numbers: PaddleSlim writes 1 (keep) where no channel lands
_FIRST = 2  # channel numbers start here, so that they cannot be taken for _OUTSIDE


class PaddleSlimEngine:
    """Groups, cut, restore, freeze by PaddleSlim 2.6.0. See :class:`PruningEngine`."""

    name = "paddleslim"
    training_unseen = False

    def __init__(self, net: paddle.nn.Layer, inputs: list[InputSpec]) -> None:
        self.net = net
        self._homes = homes(net)
        self._parameter_names = {(h.layer_name, h.attribute): name for name, h in self._homes.items()}
        self._ops: dict[tuple[str, str, int], Any] = {}
        self._plan: Any = None
        zeros = [np.zeros(spec.shape, spec.dtype.value) for spec in inputs]
        self.groups, self.reasons = self._find(zeros)

    def cut(self, keep: Keep) -> None:
        """Cut through one PaddleSlim plan (masks of one axis are merged, then applied together)."""
        if self._plan is not None:
            raise RuntimeError("the engine has a cut already; restore it first")
        plans = slim.module("dygraph.prune.pruning_plan")
        self._plan = plans.PruningPlan(self.net.full_name())
        for group in self.groups:
            if group.name not in keep:
                continue
            for piece in group.slices:
                parameter = self._parameter_names[(piece.layer, piece.parameter)]
                mask = piece.kept(np.asarray(keep[group.name], bool)).astype("int32")
                op = self._ops[(group.name, parameter, piece.axis)]
                self._plan.add(parameter, plans.PruningMask(piece.axis, mask, 0.0, op))
        self._plan.apply(self.net)

    def restore(self) -> None:
        """Copy PaddleSlim's backups back."""
        if self._plan is not None:
            self._plan.restore(self.net)
            self._plan = None

    def freeze(self) -> None:
        """Drop PaddleSlim's backups (full weights, as buffers that ``state_dict`` would show)."""
        for layer in self.net.sublayers(include_self=True):
            backups = [name for name in layer._buffers if name.endswith("_backup")]
            for name in backups:
                del layer._buffers[name]
                layer._non_persistable_buffer_names_set.discard(name)
            layer.__dict__.pop("_origin_groups", None)
        describe_widths(self.net)
        self._plan = None

    def _find(self, inputs: list[np.ndarray]) -> tuple[list[ChannelGroup], dict[str, str]]:
        """Return the groups, and for layers that lead none and were asked the reason."""
        try:
            graph = slim.trace(self.net, inputs)
        except RAISED as error:  # the user's forward, in static mode
            message = f"PaddleSlim's tracer cannot run the model: {raised(error)}"
            return [], dict.fromkeys(cuttable_layers(self.net), message)
        search = _Search(graph)
        groups: list[ChannelGroup] = []
        reasons: dict[str, str] = {}
        for name, layer in cuttable_layers(self.net).items():
            if name in reasons:
                continue
            reason = _not_a_leader(layer)
            if reason is None:
                found = search.from_output(layer.weight.name, axis=_out_axis(layer))
                if isinstance(found, str):
                    reason = found
                elif found:  # else it is a member of a group found before
                    group = ChannelGroup(
                        name, int(layer.weight.shape[_out_axis(layer)]), self._slices(name, found)
                    )
                    reason = _why_not(group, self._homes, self._parameter_names)
                    if reason is None:
                        groups.append(group)
                    else:
                        reasons.update(dict.fromkeys(group.producers, f"{reason} (tied to {name})"))
            if reason is not None:
                reasons[name] = reason
        return groups, reasons

    def _slices(self, name: str, details: list[_Detail]) -> tuple[Slice, ...]:
        channels = int(self._homes[details[0][0]].parameter.shape[details[0][1]])
        slices: dict[tuple[str, int, bytes], Slice] = {}
        for parameter, axis, transforms, op in details:
            home = self._homes.get(parameter)
            if home is None:  # an activation: PaddleSlim lists those as well
                continue
            owner = _owner(channels, transforms)
            self._ops[(name, parameter, axis)] = op
            piece = Slice(home.layer_name, home.attribute, axis, owner, _role(home, axis))
            slices.setdefault((parameter, axis, owner.tobytes()), piece)
        return tuple(slices.values())


_Detail = tuple[str, int, list[dict[str, int]], Any]
"""Parameter, axis, PaddleSlim's transforms from the leader's channels to that axis, operator."""


class _Search:
    """PaddleSlim's workers over one traced graph; what one search visited is not visited by the next."""

    def __init__(self, graph: Any) -> None:
        self._graph = graph
        self._workers = slim.module("prune.prune_worker")
        self._visited: dict[int, dict[str, bool]] = {}
        self._outputs = [
            variable.name()
            for op in graph.ops()
            for slot in op._op.output_names
            if slot not in _AUXILIARY
            for variable in op.outputs(slot)
            if not variable.outputs()
        ]

    def from_output(self, parameter: str, axis: int) -> list[_Detail] | str:
        """Return what follows the output channels of a weight, or why that cannot be followed."""
        variable = self._graph.var(parameter)
        if variable is None or not variable.outputs():
            return "not reached by the tracer: forward does not use it at the declared input shapes"
        op = variable.outputs()[0]
        worker_class = self._workers.PRUNE_WORKER.get(op.type())
        if worker_class is None:
            return f"unsupported operator named {op.type()}"
        found: list[Any] = []
        before = copy.deepcopy(self._visited)
        worker = worker_class(op, pruned_params=found, visited=self._visited, skip_stranger=True)
        worker.skip_vars = self._outputs
        try:
            worker.prune(variable, pruned_axis=axis, transforms=[])
        except self._workers.UnsupportOpError as error:
            self._forget_to(before)
            return self._in_words(str(error))
        except RAISED as error:  # it asserts, or indexes past the end, on what it cannot follow
            self._forget_to(before)
            return f"PaddleSlim's search fails behind it: {raised(error)}"
        return [(_name(v), a, t, o) for v, a, t, o in found]

    def _forget_to(self, before: dict[int, dict[str, bool]]) -> None:
        self._visited.clear()
        self._visited.update(before)

    def _in_words(self, text: str) -> str:
        if text.startswith("Variable"):
            return "its channels are the model's output (head layer)"
        if text.startswith("Unsupported operator named"):
            return f"u{text[1:]} behind it"
        return f"PaddleSlim: {text}"


def _name(variable: Any) -> str:
    # PaddleSlim hands over a list of one where it means a convolution's bias
    return str((variable[0] if isinstance(variable, list) else variable).name())


def _out_axis(layer: paddle.nn.Layer) -> int:
    return 1 if isinstance(layer, paddle.nn.Linear) else 0


def _not_a_leader(layer: paddle.nn.Layer) -> str | None:
    if is_depthwise(layer):
        return "a depthwise convolution follows its input's channels, and those belong to no group"
    if isinstance(layer, TRANSPOSED):
        return "PaddleSlim does not cut the output of a transposed convolution"
    if not isinstance(layer, (paddle.nn.Conv2D, paddle.nn.Linear)):
        return f"PaddleSlim does not cut {type(layer).__name__}"
    return None


def _role(home: Home, axis: int) -> Role:
    layer = home.layer
    if home.attribute != "weight" or is_depthwise(layer):
        # a producer's own bias goes with its output channels
        is_producer = isinstance(layer, (paddle.nn.Conv2D, paddle.nn.Linear)) and not is_depthwise(layer)
        return "out" if is_producer else "other"
    if isinstance(layer, (paddle.nn.Linear, *TRANSPOSED)):
        return "out" if axis == 1 else "in"
    if isinstance(layer, paddle.nn.Conv2D):
        return "out" if axis == 0 else "in"
    return "other"


def _owner(channels: int, transforms: list[dict[str, int]]) -> np.ndarray:
    """Send channel numbers, instead of a mask, through PaddleSlim's transforms. Empty: not one to one."""
    pruner = slim.module("dygraph.prune.filter_pruner").FilterPruner
    numbers = np.arange(channels, dtype=np.float64) + _FIRST
    for transform in transforms:
        if "squeeze" in transform:
            return np.empty(0, np.int64)
        numbers = pruner._transform_mask(None, numbers, transform)
    owner = np.asarray(numbers).astype(np.int64)
    return np.where(owner == _OUTSIDE, -1, owner - _FIRST)


def _why_not(
    group: ChannelGroup, homes: dict[str, Home], parameters: dict[tuple[str, str], str]
) -> str | None:
    """Say what PaddleSlim got wrong about a group, before anything is cut."""
    for piece in group.slices:
        home = homes[parameters[(piece.layer, piece.parameter)]]
        splits = getattr(home.layer, "_groups", 1)
        if splits > 1 and not is_depthwise(home.layer):
            return f"PaddleSlim cannot cut the grouped convolution {piece.layer} (groups={splits})"
        if len(piece.owner) == 0:
            return f"its channels are regrouped by a reshape before {piece.layer}"
        if len(piece.owner) != home.parameter.shape[piece.axis]:
            have, need = len(piece.owner), home.parameter.shape[piece.axis]
            return f"PaddleSlim finds {have} channels for {need} positions of {piece.layer}.{piece.parameter}"
    return None
