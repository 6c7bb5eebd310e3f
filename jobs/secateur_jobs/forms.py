"""Whether a factory's network is cut as its module or as its graph: what more of can go, proven in both."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np

from secateur_api.conditions import Reason
from secateur_api.spec import CutAs, Engine, InputSpec
from secateur_jobs.graph.files import NotRebuilt
from secateur_jobs.graph.network import GraphNetwork
from secateur_jobs.graph.of_module import ModuleGraph, graph_of
from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning.macs import Counts, count
from secateur_jobs.pruning.survey import Found, find
from secateur_jobs.runtime.errors import InvalidInput, Unreachable
from secateur_jobs.training.form import trains_otherwise

OnGroup = Callable[[int, int], None]
_FIELD = "spec.model.cutAs: graph"
_LONGEST = 240


@dataclass(frozen=True)
class Chosen:
    """The form that is cut, as the engine in ``found`` has it."""

    found: Found
    counts: Counts
    notes: list[str] = field(default_factory=list)

    @property
    def cut_as(self) -> CutAs:
        """Which form it is."""
        return CutAs.GRAPH if isinstance(self.net, GraphNetwork) else CutAs.MODULE

    @property
    def net(self) -> paddle.nn.Layer:
        """The network, or its graph; neither is cut."""
        return self.found.engine.net

    @contextmanager
    def explaining(self) -> Iterator[None]:
        """Say the notes with what is refused meanwhile."""
        try:
            yield
        except (InvalidInput, Unreachable) as error:
            raise type(error)(error.reason, "; ".join([error.message, *self.notes])) from error


@dataclass(frozen=True)
class Wish:
    """What the groups are looked for with."""

    cut_as: CutAs
    engine: Engine
    inputs: list[InputSpec]
    labels: np.ndarray | None
    """Those of a sample, for a ``forward`` that asks for them in training; None: to look, not to cut."""


def choose(
    net: paddle.nn.Layer,
    wish: Wish,
    example: list[np.ndarray],
    check: Callable[[ModuleGraph], None],
    on_group: OnGroup | None = None,
) -> Chosen:
    """Find and prove what of ``net`` can be cut, as ``wish.cut_as`` says; the net stays as it is.

    With ``auto`` its graph is tried where the module does not bear a cut that was found, and taken where it
    answers as the module does, in training too (on the inputs ``example``), passes ``check``, and more of its
    layers can be cut. Raises InvalidInput(FACTORY_FAILED) where the graph is asked for and there is none, and
    what ``check`` raises then.
    """
    if wish.cut_as is CutAs.GRAPH:
        graph = asked_graph(net, wish.inputs)
        check(graph)
        return Chosen(_found(graph, wish, on_group), count(graph, wish.inputs))
    counts = count(net, wish.inputs)
    module = Chosen(_found(net, wish, on_group), counts)
    can_help = wish.cut_as is CutAs.AUTO and module.found.unproven
    if not can_help or isinstance(net, GraphNetwork):
        return module
    try:
        if trains_otherwise(net, example, wish.labels):
            raise NotRebuilt("forward returns something else in training than at inference")
        graph, its_counts = _graph(net, wish.inputs, counts)
        check(graph)
    except (NotRebuilt, InvalidInput) as error:
        return replace(
            module, notes=[f"{_as_modules(module.found)}; its graph cannot be used: {_short(error)}"]
        )
    return _better(module, Chosen(_found(graph, wish, on_group), its_counts))


def asked_graph(net: paddle.nn.Layer, inputs: list[InputSpec]) -> ModuleGraph:
    """Return the graph that the spec asks for. Raises InvalidInput(FACTORY_FAILED) where there is none."""
    try:
        return _graph(net, inputs, count(net, inputs))[0]
    except NotRebuilt as error:
        raise InvalidInput(Reason.FACTORY_FAILED, f"{_FIELD}: there is none: {error}") from None


def _better(module: Chosen, graph: Chosen) -> Chosen:
    """Return the form that more layers can be cut in, and say so."""
    one, other = module.found, graph.found
    if other.cut <= one.cut:
        said = f"{_as_modules(one)}; as its graph no more ({other.cut} of {other.layers})"
        return replace(module, notes=[said])
    said = (
        f"the graph of the network is cut in place of its modules: {other.cut} of {other.layers} layers can "
        f"be cut, {one.cut} of {one.layers} as modules; what forward does in training alone is not in it"
    )
    return replace(graph, notes=[said])


def _found(net: paddle.nn.Layer, wish: Wish, on_group: OnGroup | None) -> Found:
    return find(net, wish.engine, wish.inputs, wish.labels, on_group)


def _short(error: Exception) -> str:
    """A stage's last message is short, and a user's error may be long."""
    text = str(error)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} ..."


def _as_modules(found: Found) -> str:
    return f"the modules of the network are cut: {found.cut} of {found.layers} layers can be"


def _graph(net: paddle.nn.Layer, inputs: list[InputSpec], counts: Counts) -> tuple[ModuleGraph, Counts]:
    """Return the graph, which must be as large as the network is. Raises NotRebuilt."""
    graph = graph_of(net, inputs)
    found = count(graph, inputs)
    one, other = ((c.macs, c.params) for c in (counts, found))
    if one != other:
        raise NotRebuilt(
            f"it has {other[0]:,} MACs and {other[1]:,} parameters, the network {one[0]:,} and {one[1]:,}"
        )
    return graph, found
