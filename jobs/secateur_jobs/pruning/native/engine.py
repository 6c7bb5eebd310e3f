"""The native engine: groups by probing, cuts by rewriting tensors."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from secateur_api.spec import InputSpec
from secateur_jobs.explain import RAISED, raised
from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning.attributes import Attributes, describe_widths, read_widths, write_widths
from secateur_jobs.pruning.engine import ChannelGroup, Keep
from secateur_jobs.pruning.layers import cuttable_layers, named_layers
from secateur_jobs.pruning.native.findings import Findings, explore
from secateur_jobs.pruning.native.groups import find_groups, why_not
from secateur_jobs.pruning.native.leaves import Kind, Leaf, find_leaves
from secateur_jobs.pruning.native.nodes import Nodes
from secateur_jobs.pruning.native.parameter_axes import cuts_whole_groups
from secateur_jobs.pruning.native.probe import Probe, Unsteady
from secateur_jobs.pruning.native.units import find_units


class NativeEngine:
    """Groups, cut, restore, freeze for any net that runs. See :class:`PruningEngine`."""

    name = "native"

    def __init__(self, net: paddle.nn.Layer, inputs: list[InputSpec]) -> None:
        self.net = net
        self._leaves = find_leaves(net)
        self._backups: list[tuple[paddle.Tensor, np.ndarray]] = []
        self._attributes: Attributes | None = None
        self.groups, self.reasons = _find(net, self._leaves, inputs)

    def cut(self, keep: Keep) -> None:
        """Take the removed positions out of every tensor."""
        if self._attributes is not None:
            raise RuntimeError("the engine has a cut already; restore it first")
        self._attributes = read_widths(self.net)
        counts = _widths_of_whole_groups(self._leaves)
        for tensor, masks in self._masks(keep):
            before = tensor.numpy()
            self._backups.append((tensor, before))
            after = before
            for axis, mask in masks.items():
                after = np.compress(mask, after, axis)
            _put(tensor, after)
        for layer, attribute, width in counts:
            setattr(layer, attribute, int(layer.weight.shape[0]) // width)
        describe_widths(self.net)

    def restore(self) -> None:
        """Put the tensors back that were cut."""
        for tensor, before in self._backups:
            _put(tensor, before)
        self._backups.clear()
        if self._attributes is not None:
            write_widths(self._attributes)
            self._attributes = None

    def freeze(self) -> None:
        """Forget what was there before."""
        self._backups.clear()
        self._attributes = None

    def _masks(self, keep: Keep) -> Iterator[tuple[paddle.Tensor, dict[int, np.ndarray]]]:
        """Yield every tensor that is cut, once, with a mask for each axis that becomes shorter."""
        layers = named_layers(self.net)
        found: dict[int, tuple[paddle.Tensor, dict[int, np.ndarray]]] = {}
        for group in self.groups:
            for piece in group.slices if group.name in keep else ():
                tensor = getattr(layers[piece.layer], piece.parameter)
                _, masks = found.setdefault(id(tensor), (tensor, {}))
                mask = piece.kept(np.asarray(keep[group.name], bool))
                masks[piece.axis] = masks.get(piece.axis, True) & mask
        yield from found.values()


def _find(
    net: paddle.nn.Layer, leaves: list[Leaf], inputs: list[InputSpec]
) -> tuple[list[ChannelGroup], dict[str, str]]:
    tensors = [_example(spec) for spec in inputs]
    nodes = Nodes.of(leaves)
    findings: list[Findings] = []
    for training in (False, True):
        try:
            findings.append(explore(Probe(net, leaves, tensors, training), nodes))
        except Unsteady as error:
            return [], dict.fromkeys(cuttable_layers(net), str(error))
        except RAISED as error:  # the user's forward
            reason = f"forward fails on the values of a probe: {raised(error)}"
            return [], dict.fromkeys(cuttable_layers(net), reason)
    units = find_units(nodes, findings)
    groups = find_groups(nodes, units)
    return groups, why_not(nodes, units, groups, findings)


def _example(spec: InputSpec) -> paddle.Tensor:
    """Return values of the declared shape and type: zeros for ids, else anything."""
    return paddle.zeros(spec.shape, spec.dtype.value)


def _widths_of_whole_groups(leaves: list[Leaf]) -> list[tuple[paddle.nn.Layer, str, int]]:
    """Return layers that lose whole groups of channels, their attribute, and channels per group."""
    found = []
    for leaf in leaves:
        if leaf.kind is Kind.DEPTHWISE or (leaf.kind is Kind.GROUPED and cuts_whole_groups(leaf)):
            found.append((leaf.layer, "_groups", int(leaf.layer.weight.shape[0]) // int(leaf.layer._groups)))
        elif leaf.kind is Kind.GROUP_NORM:
            width = int(leaf.layer._num_channels) // int(leaf.layer._num_groups)
            found.append((leaf.layer, "_num_groups", width))
    return found


def _put(tensor: paddle.Tensor, array: np.ndarray) -> None:
    """Give a tensor other values, and another shape, in place."""
    tensor.get_tensor().set(np.ascontiguousarray(array), paddle.framework._current_expected_place())
    if not tensor.stop_gradient:
        tensor.clear_gradient(set_to_zero=False)
