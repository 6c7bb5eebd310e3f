"""The HTML page: facts laid out as rows and charts, then set by the template."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from secateur_api.quantity import show_bytes, show_moment, show_seconds
from secateur_api.results import Artifact, Group, TargetPrecision, Width
from secateur_api.spec import Activations, Target, target_name
from secateur_api.status import NOT_MEASURED
from secateur_api.uri import redacted
from secateur_jobs.report import numerals
from secateur_jobs.report.charts.curves import bar, curve, shared_cap
from secateur_jobs.report.charts.latency import beyond, distribution
from secateur_jobs.report.charts.rounds import cut_chart, recovery_chart
from secateur_jobs.report.comparison import benchmark_rows, compare
from secateur_jobs.report.evidence import Evidence, Measured, Round
from secateur_jobs.report.judgement import chosen_by_what_judges, headline, without_labels


@dataclass(frozen=True)
class KeyFigure:
    """A number that is shown large."""

    label: str
    before: str
    after: str
    change: str


def render(evidence: Evidence) -> bytes:
    """Return the page: one file without scripts or outside references."""
    template = _environment().get_template("report.html.j2")
    return template.render(_view(evidence)).encode()


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("secateur_jobs.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _view(evidence: Evidence) -> dict[str, Any]:
    style = (resources.files("secateur_jobs.report") / "templates" / "report.css").read_text(encoding="utf-8")
    return {
        "style": Markup(style),
        "job": evidence.job,
        "headline": headline(evidence),
        "unlabelled": without_labels(evidence),
        "choices": chosen_by_what_judges(evidence),
        "judged": [(j, j.margin) for j in evidence.verdict.judged] if evidence.verdict else [],
        "figures": _figures(evidence),
        "sections": compare(evidence),
        "rounds": _rounds(evidence),
        "widths": _widths(evidence),
        "curves": _curves(evidence),
        "latencies": [_latency(m) for m in evidence.measured],
        "groups": [_group(g, evidence) for g in evidence.groups.groups],
        "refused": evidence.groups.refused,
        "engine": evidence.groups.engine,
        "notes": evidence.preflight.notes,
        "weights": [_weights(target) for target in evidence.weights],
        "artifacts": _artifacts(evidence),
        "checkpoint": evidence.model.checkpoint if evidence.model else None,
        "options": evidence.manifest.options if evidence.manifest else {},
        "stages": [
            (s.stage, s.unit, show_moment(s.measured_at) if s.measured_at else "", show_seconds(s.seconds))
            for s in evidence.stages
        ],
        "toolchain": [(package, ", ".join(found)) for package, found in evidence.versions().items()],
        "spec": redacted(yaml.safe_dump(evidence.spec.to_wire(), sort_keys=False, allow_unicode=True)),
        "show_bytes": show_bytes,
    }


def _figures(evidence: Evidence) -> list[KeyFigure]:
    """Pick the numbers to show large; the metric is the converted models' where that was measured."""
    if evidence.model is None:
        return []
    rows = compare(evidence)[0].rows[:3]  # metric, MACs, parameters
    if evidence.measured:
        rows[0] = benchmark_rows(evidence.measured[0], evidence)[0]
    figures = [KeyFigure(r.label, r.before, r.after, r.change) for r in rows]
    if evidence.measured:
        run = evidence.measured[0].outcome
        before, after = run.baseline.p50_seconds, run.pruned.p50_seconds
        label = f"latency p50, {target_name(run.format, run.backend)}"
        figures.append(
            KeyFigure(label, show_seconds(before), show_seconds(after), numerals.factor(run.speedup))
        )
    return figures


def _rounds(evidence: Evidence) -> dict[str, Any] | None:
    if not evidence.rounds:
        return None
    target = evidence.spec.pruning.target
    judged = [r.gate for r in evidence.rounds if r.gate]
    rolled_back = any(not gate.accepted for gate in judged)
    cut_legend = [("bar", "accepted" if judged else "cut")]
    recovery_legend = [("ring", "after the cut"), ("diamond", "after repair"), ("dot", "after recovery")]
    if rolled_back:
        cut_legend.append(("outline", "rolled back"))
        recovery_legend.append(("ring-strong", "after recovery, rolled back"))
    if target:
        cut_legend.append(("dashed", "target"))
    recovery_legend.append(("baseline", "unpruned"))
    if judged:
        recovery_legend.append(("dashed", "floor"))
    return {
        "cut_legend": cut_legend,
        "recovery_legend": recovery_legend,
        "rows": [_round(r, evidence) for r in evidence.rounds],
        "cut": cut_chart(evidence.rounds, *_drawn(target)),
        "recovery": recovery_chart(evidence.rounds, evidence.preflight.choosing_metric, evidence.choosing),
        "metric": numerals.metric_name(evidence.choosing),
        "held": evidence.preflight.held,
        "epochs": [_epochs(r, evidence) for r in evidence.rounds if r.plan.losses],
    }


def _drawn(target: Target | None) -> tuple[str, float | None]:
    """Return the quantity to draw and its target: the first that is measured in each round."""
    shares = {} if target is None else target.shares
    return next(((name, share) for name, share in shares.items() if name != "latency"), ("macs", None))


def _targets(target: Target | None, share: float) -> str:
    """Return what should be cut after a round that reaches this share of the plan."""
    given = {} if target is None else {name: whole * share for name, whole in target.shares.items()}
    if len(given) == 1:
        (part,) = given.values()
        return numerals.share(part)
    return ", ".join(f"{name} {numerals.share(part)}" for name, part in given.items())


def _round(found: Round, evidence: Evidence) -> dict[str, str]:
    outcome, gate = found.outcome, found.gate

    def metric(value: float) -> str:
        return numerals.metric_value(value, evidence.choosing)

    answer = "not judged" if gate is None else "accepted" if gate.accepted else "rolled back"
    return {
        "number": str(outcome.number),
        "answer": answer,
        "chosen": "chosen" if found is evidence.model else "",
        "target": _targets(evidence.spec.pruning.target, outcome.share),
        "macs": numerals.share(outcome.cut_macs),
        "params": numerals.share(outcome.cut_params),
        "cut": metric(outcome.metric_cut),
        "repaired": metric(outcome.metric_repaired),
        "recovered": metric(outcome.recovered),
        "drop": numerals.signed_share(outcome.drop, 2),
        "floor": "" if gate is None else numerals.share(gate.floor, 2),
        "seconds": "" if gate is None else show_seconds(gate.seconds),
    }


def _epochs(found: Round, evidence: Evidence) -> tuple[int, list[tuple[int, str, str]]]:
    metrics: list[float | None] = [*found.plan.metrics]
    metrics += [None] * (len(found.plan.losses) - len(metrics))
    return found.outcome.number, [
        (
            epoch,
            f"{loss:.4g}",
            NOT_MEASURED if value is None else numerals.metric_value(value, evidence.choosing),
        )
        for epoch, (loss, value) in enumerate(zip(found.plan.losses, metrics, strict=False), start=1)
    ]


def _widths(evidence: Evidence) -> list[tuple[Width, str, Markup]]:
    if evidence.model is None or not evidence.model.plan.widths:
        return []
    widths = evidence.model.plan.widths
    widest = max(w.before for w in widths)
    return [(w, numerals.signed_share((w.after - w.before) / w.before, 0), bar(w, widest)) for w in widths]


def _curves(evidence: Evidence) -> dict[str, Any] | None:
    if not evidence.points:
        return None
    cap = shared_cap(evidence.points)
    chosen = evidence.model.plan.ratios if evidence.model else {}
    known = [g.name for g in evidence.groups.groups if g.name in evidence.points]
    order = [*known, *(name for name in evidence.points if name not in known)]
    ratios = sorted({p.ratio for points in evidence.points.values() for p in points})
    table = []
    for name in order:
        losses = {p.ratio: numerals.signed_share(p.loss, 2) for p in evidence.points[name]}
        table.append((name, [losses.get(ratio, "") for ratio in ratios]))
    return {
        "charts": [(n, chosen.get(n), curve(n, evidence.points[n], cap, chosen.get(n))) for n in order],
        "cap": numerals.share(cap, 0),
        "ratios": ratios,
        "table": table,
        "metric": numerals.metric_name(evidence.choosing),
    }


def _latency(measured: Measured) -> dict[str, Any]:
    run = measured.outcome
    count, end = beyond(measured)
    return {
        "title": f"{target_name(run.format, run.backend)} on {run.device}",
        "runs": run.runs,
        "chart": distribution(measured),
        "beyond": count,
        "end": show_seconds(end),
    }


def _group(group: Group, evidence: Evidence) -> dict[str, Any]:
    ratio = evidence.model.plan.ratios.get(group.name) if evidence.model else None
    return {
        "name": group.name,
        "channels": group.channels,
        "ratio": "" if ratio is None else numerals.share(ratio, 0),
        "cap": numerals.share(group.cap, 0),
        "rule": "" if group.rule is None else numerals.share(group.rule, 0),
        "producers": group.producers,
        "consumers": group.consumers,
        "others": group.others,
    }


def _precision(artifact: Artifact) -> str:
    found = artifact.precision
    if found is None:
        return "32 bits"
    counts = {8: found.bits8, 16: found.bits16, 32: found.bits32}
    computes = ", computes in 8 bits" if found.activations is Activations.INT8 else ""
    shares = [f"{numerals.share(n / sum(counts.values()))} in {bits} bits" for bits, n in counts.items() if n]
    if found.max_rel is None or found.agreement is None or found.drop is None:
        return f"{', '.join(shares)} (as decided on x86; not run here)"
    return (
        f"{', '.join(shares)}{computes}; against 32 bits: drop {numerals.share(found.drop, 2)}, "
        f"agreement {numerals.share(found.agreement, 2)}, largest difference {found.max_rel:.1e}, "
        f"{found.samples} samples"
    )


def _weights(target: TargetPrecision) -> dict[str, Any]:
    """Lay out the weights that are stored in more than 8 bits; what all have in common is not listed."""
    return {
        "what": target_name(target.format, target.backend),
        "note": target.note,
        "stored": len(target.weights),
        "rows": [
            (w.layer, w.elements, w.bits, "" if w.cost is None else f"{w.cost:.1e}", w.why)
            for w in target.weights
            if w.bits > 8
        ],
    }


def _artifacts(evidence: Evidence) -> list[dict[str, str]]:
    def entry(artifact: Artifact) -> dict[str, str]:
        parity = artifact.parity
        return {
            "what": f"{artifact.role}, {target_name(artifact.format, artifact.backend)}",
            "path": artifact.path,
            "bytes": show_bytes(artifact.bytes),
            "sha256": artifact.sha256,
            "parity": "not run here"
            if parity is None
            else f"{parity.max_rel:.1e} of {parity.tolerance:.0e} allowed, {parity.samples} samples",
            "precision": _precision(artifact),
        }

    return [entry(a) for a in [*evidence.pruned_artifacts, *evidence.baseline_artifacts]]
