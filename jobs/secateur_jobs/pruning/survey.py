"""What of a net can be cut, and what the spec allows of that: the table that all later stages go by."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from secateur_api.conditions import Reason
from secateur_api.results import Group, GroupTable, LatencyTable, Refused, Shares
from secateur_api.spec import Engine, InputSpec, Pruning
from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning.allocation import reachable
from secateur_jobs.pruning.cost import CostModel
from secateur_jobs.pruning.cost_of_net import cost_models, latency_model
from secateur_jobs.pruning.engine import ChannelGroup, PruningEngine
from secateur_jobs.pruning.engines import make_engine
from secateur_jobs.pruning.layer_rules import apply_rules, caps
from secateur_jobs.pruning.layers import cuttable_layers, named_layers
from secateur_jobs.pruning.macs import Counts
from secateur_jobs.pruning.proof import prove_groups
from secateur_jobs.pruning.widths import MAX_RATIO
from secateur_jobs.runtime.errors import InvalidInput, Unreachable

_Limited = Callable[[Pruning, Mapping[str, float], float], list[Group]]
"""Gives the groups their limits by what is asked for, the ratios that rules fix, and the largest measured."""
_WORTH_SAYING = 0.001


TRAINING_UNSEEN = (
    "forward needs labels in training, and there are none here: inference alone was looked at, so a job may "
    "find less to cut"
)


@dataclass(frozen=True)
class Survey:
    """The proven groups of a net, with what the spec says about each."""

    table: GroupTable
    notes: list[str]
    reachable: Shares
    """Largest share of each target quantity that can be cut."""


@dataclass(frozen=True)
class Found:
    """What an engine found in an uncut net, without regard to what a spec allows of it."""

    engine: PruningEngine
    groups: list[ChannelGroup]
    """Each is proven."""
    refused: list[Refused]
    unproven: bool
    """Whether a group was found that the net does not bear to be cut."""

    @property
    def notes(self) -> list[str]:
        """What a person should know."""
        return [TRAINING_UNSEEN] if self.engine.training_unseen else []

    @property
    def layers(self) -> int:
        """Convolution, linear, recurrent and embedding layers in all."""
        return len(cuttable_layers(self.engine.net))

    @property
    def cut(self) -> int:
        """How many of them can be cut."""
        return self.layers - len(self.refused)


def find(
    net: paddle.nn.Layer,
    engine: Engine,
    inputs: list[InputSpec],
    labels: np.ndarray | None,
    on_group: Callable[[int, int], None] | None = None,
) -> Found:
    """Find and prove the groups of the uncut net; it stays as it is.

    ``labels`` are those of a sample, for a ``forward`` that asks for them in training; with None what is
    found is to be looked at, not to be cut.
    """
    made = make_engine(engine, net, inputs, labels, inspects=labels is None)
    proven, unproven = prove_groups(made, inputs, on_group)
    refused = refused_layers(net, proven, made.reasons | unproven)
    return Found(made, list(proven), refused, bool(unproven))


def allowed(
    found: Found,
    pruning: Pruning,
    ratios: Sequence[float],
    inputs: list[InputSpec],
    counts: Counts,
    checkpoint_bytes: int,
    measure: Callable[[PruningEngine, Sequence[ChannelGroup]], LatencyTable] | None = None,
) -> Survey:
    """Apply rules, caps and target to what was found; the net stays as it is.

    ``ratios`` are those that curves are measured at; ``counts`` were counted at ``inputs``; ``measure`` is
    asked for the groups' latency where that is a target.

    Raises InvalidInput (NOTHING_PRUNABLE, PATTERN_MATCHES_NOTHING) and Unreachable (TARGET_UNREACHABLE).
    """
    engine, proven, refused, net = found.engine, found.groups, found.refused, found.engine.net
    reasons = {r.layer: r.reason for r in refused}
    producers = {group.name: group.producers for group in proven}
    layers = list(dict.fromkeys([*(name for name in named_layers(net)), *reasons]))
    rules = apply_rules(pruning.layers, producers, reasons, layers)
    if not proven:
        raise InvalidInput(
            Reason.NOTHING_PRUNABLE, f"spec.model: no layer of the model can be cut: {_say(refused)}"
        )
    cuttable = cuttable_layers(net)

    def limited(pruning: Pruning, fixed: Mapping[str, float], measured: float) -> list[Group]:
        return _with_limits(proven, fixed, counts, pruning, measured, cuttable)

    groups = limited(pruning, rules.ratios, max(ratios))
    costs = cost_models(engine, proven, counts, checkpoint_bytes, inputs)
    target = pruning.target
    if target is not None and target.latency is not None and measure is not None:
        costs["latency"] = latency_model(net, proven, counts, measure(engine, proven))
    return Survey(
        table=GroupTable(engine=engine.name, groups=groups, refused=refused),
        notes=[*found.notes, *rules.notes],
        reachable=_reach(groups, refused, pruning, max(ratios), costs, limited),
    )


def refused_layers(
    net: paddle.nn.Layer, groups: Sequence[ChannelGroup], reasons: Mapping[str, str]
) -> list[Refused]:
    """Return every convolution and linear layer that no group cuts, as defined, with its reason."""
    cut = {name for group in groups for name in (*group.producers, *group.others)}
    follows = "its channels are those of a layer that cannot be cut"
    return [
        Refused(layer=name, reason=reasons.get(name, follows))
        for name in cuttable_layers(net)
        if name not in cut
    ]


def _with_limits(
    proven: Sequence[ChannelGroup],
    ratios: Mapping[str, float],
    counts: Counts,
    pruning: Pruning,
    measured: float,
    cuttable: Mapping[str, paddle.nn.Layer],
) -> list[Group]:
    order = [name for name in counts.layers if name in cuttable]
    known = measured if pruning.target is not None else MAX_RATIO
    limits = caps({g.name: g.producers for g in proven}, order, pruning.protect, known)
    return [
        Group(
            name=group.name,
            channels=group.channels,
            producers=list(group.producers),
            consumers=list(group.consumers),
            others=list(group.others),
            cap=limits[group.name],
            rule=ratios.get(group.name),
            step=group.step(pruning.align),
        )
        for group in proven
    ]


def _reach(
    groups: Sequence[Group],
    refused: Sequence[Refused],
    pruning: Pruning,
    measured: float,
    costs: Mapping[str, CostModel],
    limited: _Limited,
) -> Shares:
    wanted = {} if pruning.target is None else pruning.target.shares
    most = {name: reachable(groups, costs[name]) for name in wanted if name in costs}
    for name, share in most.items():
        if share + 1e-9 < wanted[name]:
            protect = pruning.protect
            held_back = _held_back(pruning, measured, groups, costs[name], share, limited)
            held_back += _kept_back(costs[name])
            raise Unreachable(
                Reason.TARGET_UNREACHABLE,
                f"spec.pruning.target: {wanted[name]:.0%} of the {name} is asked for, at most {share:.1%} "
                f"can go with protect first {protect.first:g}, last {protect.last:g}, align {pruning.align}, "
                f"the rules in layers and at most {MAX_RATIO:.0%} of a group{held_back}; "
                f"{len(refused)} layers cannot be cut: {_say(refused)}",
            )
    return Shares(**most)


def _held_back(
    pruning: Pruning,
    measured: float,
    groups: Sequence[Group],
    cost: CostModel,
    share: float,
    limited: _Limited,
) -> str:
    """Say how much more could go without each of what is asked for alone; nothing where none of it does."""
    rules = {group.name: group.rule for group in groups if group.rule is not None}
    free = pruning.protect.model_copy(update={"first": MAX_RATIO, "last": MAX_RATIO})
    lifted = {
        "without protect": limited(pruning.model_copy(update={"protect": free}), rules, measured),
        "with align 1": limited(pruning.model_copy(update={"align": 1}), rules, measured),
        "without the rules in layers": limited(pruning, {}, measured),
        f"with sensitivity.ratios beyond {measured:g}": limited(pruning, rules, MAX_RATIO),
    }
    gains = {how: reachable(freed, cost) for how, freed in lifted.items()}
    said = [f"{how} {gain:.1%}" for how, gain in gains.items() if gain > share + _WORTH_SAYING]
    return f" ({', '.join(said)})" if said else ""


def _kept_back(cost: CostModel) -> str:
    """Say what a prediction's error takes from what can go."""
    share = cost.margin / cost.total({})
    if share < _WORTH_SAYING:
        return ""
    return (
        f"; a further {share:.1%} is kept back: so far off were predictions for narrowed nets that were "
        "timed, which other work on the machine makes worse"
    )


def _say(refused: Sequence[Refused]) -> str:
    shown = "; ".join(f"{r.layer}: {r.reason}" for r in refused[:3])
    more = f"; and {len(refused) - 3} more" if len(refused) > 3 else ""
    return f"{shown or 'it has no convolution or linear layer'}{more}"
