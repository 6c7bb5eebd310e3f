"""A factory's network as a graph: widths that it keeps as numbers follow a cut, and layers keep their names.

Paddle traces the network as it does for an export, in evaluation mode, and what it writes is read as exported
files are. The graph has the network's own values under the network's own names.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any

import numpy as np

from secateur_api.spec import InputSpec
from secateur_jobs.conversion.export import export
from secateur_jobs.explain import RAISED, raised
from secateur_jobs.graph.examples import NotReadable, batches, examples
from secateur_jobs.graph.files import TOLERANCE, NotRebuilt, difference
from secateur_jobs.graph.network import GraphNetwork, UnknownOperator
from secateur_jobs.graph.pir import plain_program
from secateur_jobs.graph.program import Feed, Program
from secateur_jobs.paddle_env import paddle
from secateur_jobs.runtime.errors import InvalidInput
from secateur_jobs.training.forward import eval_mode, forward
from secateur_jobs.training.outputs import Structure, rebuilt
from secateur_jobs.training.seeding import generators_kept

Owned = Mapping[str, tuple[str, paddle.Tensor]]
"""A tensor's name in a program to its structured name, and itself."""


class ModuleGraph(GraphNetwork):
    """A network's inference as a graph; its layers and parameters are called as the network's are.

    A parameter that no layer of Paddle's holds in the network lies in a layer of its name.
    """

    def __init__(
        self,
        program: Program,
        example: Sequence[np.ndarray],
        structure: Structure,
        trained: AbstractSet[str],
    ) -> None:
        """``structure`` is that of what ``forward`` returns, ``trained`` are the names of what is trained.

        Raises UnknownOperator.
        """
        self._trained = trained
        self._structure = structure
        super().__init__(program, example)
        self.description |= {"structure": structure, "trained": sorted(trained)}

    @paddle.jit.not_to_static  # type: ignore[untyped-decorator]  # Paddle has no types
    def forward(self, *inputs: paddle.Tensor) -> Any:
        """Return what the network returns at inference; tuples as lists."""
        answers = super().forward(*inputs)
        return rebuilt(self._structure, answers if isinstance(answers, tuple) else (answers,)).arranged

    def _add_layer(self, wanted: str, layer: paddle.nn.Layer) -> str:
        owner, _, attribute = wanted.rpartition(".")
        own = {name for name, _ in layer.named_parameters()}
        if not own:
            return super()._add_layer(wanted, layer)
        path = owner if owner and attribute in own else wanted
        parent, name = self._place(path)
        parent.add_sublayer(name, layer)
        for name, parameter in layer.named_parameters(prefix=path):
            parameter.stop_gradient = name not in self._trained
        return path

    def _add_parameter(self, wanted: str, array: np.ndarray | None) -> str:
        if array is None:
            raise ValueError(f"{wanted} has no values")
        parent, name = self._place(wanted)
        if wanted in self._trained:
            initial = paddle.nn.initializer.Assign(array)
            parent.add_parameter(name, self.create_parameter(array.shape, default_initializer=initial))
        else:
            parent.register_buffer(name, paddle.to_tensor(array))
        return wanted

    def _place(self, path: str) -> tuple[paddle.nn.Layer, str]:
        """Return the layer that holds what is called ``path``, made where it is not there, and the last name.

        Raises UnknownOperator where that is taken.
        """
        holder, names = self, path.split(".")
        for name in names[:-1]:
            if name not in holder._sub_layers:
                holder.add_sublayer(name, paddle.nn.Layer())
            holder = holder._sub_layers[name]
        if any(names[-1] in taken for taken in (holder._sub_layers, holder._parameters, holder._buffers)):
            raise UnknownOperator(f"{path} is used in two ways, as tied weights are")
        return holder, names[-1]


def graph_of(net: paddle.nn.Layer, inputs: Sequence[InputSpec]) -> ModuleGraph:
    """Return the graph of ``net``, which stays as it is, in evaluation mode; proven to answer as it does.

    ``inputs`` are those of its ``forward``. Raises NotRebuilt, which says why there is none: what Paddle
    cannot trace for any batch, what the graph does not know, or other answers than those of ``net``.
    """
    owned = _owned(net)
    feeds = [Feed(at, one.name, [-1, *one.shape[1:]], one.dtype.value) for at, one in enumerate(inputs)]
    shapes = [one.shape for one in inputs]
    runs = [list(examples(feeds, shapes, batch).values()) for batch in batches(feeds, shapes)]
    program = _program(net, inputs, owned)
    try:
        with generators_kept(), paddle.utils.unique_name.guard(), eval_mode(net), paddle.no_grad():
            trained = {name for name, tensor in owned.values() if not tensor.stop_gradient}
            graph = ModuleGraph(program, runs[0], forward(net, runs[0]).structure, trained)
            _take_settings(net, graph)
            worst = max(_difference(net, graph, run) for run in runs)
    except UnknownOperator as error:
        raise NotRebuilt(str(error)) from None
    except RAISED as error:
        raise NotRebuilt(f"its graph does not run: {raised(error)}") from error
    if not worst <= TOLERANCE:
        raise NotRebuilt(f"its outputs differ by {worst:.1e} of the largest, {TOLERANCE:.0e} is allowed")
    _check_names(net, graph)
    return graph


def _owned(net: paddle.nn.Layer) -> Owned:
    """Find all tensors of a network, those included that are neither parameter nor buffer."""
    found: dict[str, tuple[str, paddle.Tensor]] = {}
    for prefix, layer in net.named_sublayers(include_self=True):
        for attribute, tensor in {**vars(layer), **layer._buffers, **layer._parameters}.items():
            if not isinstance(tensor, paddle.Tensor):
                continue
            name = f"{prefix}.{attribute}" if prefix else attribute
            if found.setdefault(tensor.name, (name, tensor))[1] is not tensor:
                first = found[tensor.name][0]
                raise NotRebuilt(f"{first} and {name} have the same name {tensor.name!r} in Paddle")
    return found


def _program(net: paddle.nn.Layer, inputs: Sequence[InputSpec], owned: Owned) -> Program:
    """Trace the network; parameters have their structured names."""
    try:
        with tempfile.TemporaryDirectory(prefix="secateur-graph-") as scratch, generators_kept():
            content = export(net, inputs, Path(scratch), any_batch=True).program.read_bytes()
        pir = paddle.pir.translate_to_pir(paddle.base.core.ProgramDesc(content))
        plain = plain_program(pir, [one.name for one in inputs], lambda name: _array(owned, name))
    except InvalidInput as error:
        raise NotRebuilt(re.sub(r"^spec\.model\.\w+: ", "", error.message)) from error
    except NotReadable as error:
        raise NotRebuilt(str(error)) from None
    except RAISED as error:
        raise NotRebuilt(f"its program cannot be read: {raised(error)}") from error
    structured = {name: owned[name][0] for name in plain.parameters}
    return Program(
        plain.feeds,
        plain.operations,
        plain.fetched,
        {value: structured[name] for value, name in plain.names.items()},
        {structured[name]: array for name, array in plain.parameters.items()},
    )


def _array(owned: Owned, name: str) -> np.ndarray:
    if name not in owned:
        raise NotReadable(f"forward uses a tensor ({name}) that no layer holds; make it a buffer")
    return owned[name][1].numpy()


def _difference(net: paddle.nn.Layer, graph: ModuleGraph, inputs: list[np.ndarray]) -> float:
    """Return the largest difference of the graph's outputs, relative to the largest of each output."""
    wanted, found = (forward(one, inputs).arrays().tensors for one in (net, graph))
    return max(difference(array, found[name]) for name, array in wanted.items())


def _check_names(net: paddle.nn.Layer, graph: ModuleGraph) -> None:
    """Refuse a graph that has another tensor under a name of the network's."""
    own: dict[str, paddle.Tensor] = net.state_dict()
    for name, tensor in graph.state_dict().items():
        if name in own and not np.array_equal(own[name].numpy(), tensor.numpy(), equal_nan=True):
            raise NotRebuilt(f"{name} is used in a way that changes it, as a transposed weight is")


def _take_settings(net: paddle.nn.Layer, graph: ModuleGraph) -> None:
    """Set what a program does not tell: how parameters are trained, and whether statistics are frozen."""
    layers, parameters = dict(net.named_sublayers(include_self=True)), dict(net.named_parameters())
    for name, parameter in graph.named_parameters():
        if name in parameters:
            for setting in ("optimize_attr", "regularizer", "need_clip"):
                setattr(parameter, setting, getattr(parameters[name], setting))
    for name, layer in graph.named_sublayers():
        if hasattr(layer, "_use_global_stats"):  # False is an older layer's word for: in training not
            layer._use_global_stats = getattr(layers.get(name), "_use_global_stats", None) or None
