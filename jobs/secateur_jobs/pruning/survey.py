"""What of a net can be cut, and what the spec allows of that: the table that all later stages go by."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from secateur_api.conditions import Reason
from secateur_api.results import Group, GroupTable, Refused
from secateur_api.spec import PruningJobSpec
from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning.cost import CostModel
from secateur_jobs.pruning.cost_of_net import cost_model
from secateur_jobs.pruning.engine import ChannelGroup
from secateur_jobs.pruning.engines import make_engine
from secateur_jobs.pruning.layer_rules import RuleOutcome, apply_rules, caps
from secateur_jobs.pruning.layers import cuttable_layers, named_layers
from secateur_jobs.pruning.macs import Counts
from secateur_jobs.pruning.plan import reachable
from secateur_jobs.pruning.proof import prove_groups
from secateur_jobs.pruning.widths import MAX_RATIO
from secateur_jobs.runtime.errors import InvalidInput, Unreachable


@dataclass(frozen=True)
class Survey:
    """The proven groups of a net, with what the spec says about each."""

    table: GroupTable
    notes: list[str]
    reachable: float | None
    """Largest share of the target quantity that can be cut; None without a target."""


def survey(
    net: paddle.nn.Layer,
    spec: PruningJobSpec,
    counts: Counts,
    on_group: Callable[[int, int], None] | None = None,
) -> Survey:
    """Find and prove the groups of the uncut net and apply rules, caps and target; the net stays as it is.

    Raises InvalidInput (NOTHING_PRUNABLE, PATTERN_MATCHES_NOTHING) and Unreachable (TARGET_UNREACHABLE).
    """
    engine = make_engine(spec.pruning.engine, net, spec.model.inputs)
    proven, unproven = prove_groups(engine, spec.model.inputs, on_group)
    refused = refused_layers(net, proven, engine.reasons | unproven)
    reasons = {r.layer: r.reason for r in refused}
    producers = {group.name: group.producers for group in proven}
    layers = list(dict.fromkeys([*(name for name in named_layers(net)), *reasons]))
    rules = apply_rules(spec.pruning.layers, producers, reasons, layers)
    if not proven:
        raise InvalidInput(
            Reason.NOTHING_PRUNABLE, f"spec.model.factory: no layer of the model can be cut: {_say(refused)}"
        )
    groups = _with_limits(proven, rules, counts, spec, cuttable_layers(net))
    cost = None
    if spec.pruning.target is not None:
        cost = cost_model(net, proven, counts, spec.pruning.target.quantity)
    return Survey(
        table=GroupTable(engine=engine.name, groups=groups, refused=refused),
        notes=rules.notes,
        reachable=None if cost is None else _reach(groups, refused, spec, cost),
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
    rules: RuleOutcome,
    counts: Counts,
    spec: PruningJobSpec,
    cuttable: Mapping[str, paddle.nn.Layer],
) -> list[Group]:
    order = [name for name in counts.layers if name in cuttable]
    measured = max(spec.sensitivity.ratios) if spec.pruning.target is not None else MAX_RATIO
    limits = caps({g.name: g.producers for g in proven}, order, spec.pruning.protect, measured)
    return [
        Group(
            name=group.name,
            channels=group.channels,
            producers=list(group.producers),
            consumers=list(group.consumers),
            others=list(group.others),
            cap=limits[group.name],
            rule=rules.ratios.get(group.name),
        )
        for group in proven
    ]


def _reach(
    groups: Sequence[Group], refused: Sequence[Refused], spec: PruningJobSpec, cost: CostModel
) -> float:
    pruning = spec.pruning
    if pruning.target is None:
        raise ValueError("no target, no reach")
    most = reachable(groups, pruning.align, cost)
    if most + 1e-9 < pruning.target.fraction:
        protect = pruning.protect
        raise Unreachable(
            Reason.TARGET_UNREACHABLE,
            f"spec.pruning.target: {pruning.target.fraction:.0%} of the {pruning.target.quantity} is asked "
            f"for, at most {most:.1%} can go with protect first {protect.first:g}, last {protect.last:g}, "
            f"align {pruning.align}, the rules in layers and at most {MAX_RATIO:.0%} of a group; "
            f"{len(refused)} layers cannot be cut: {_say(refused)}",
        )
    return most


def _say(refused: Sequence[Refused]) -> str:
    shown = "; ".join(f"{r.layer}: {r.reason}" for r in refused[:3])
    more = f"; and {len(refused) - 3} more" if len(refused) > 3 else ""
    return f"{shown or 'it has no convolution or linear layer'}{more}"
