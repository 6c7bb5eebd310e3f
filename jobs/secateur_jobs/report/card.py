"""The model card: Markdown with a YAML head in the manner of the Hugging Face Hub, from the same facts."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import yaml

from secateur_api.quantity import show_bytes, show_moment
from secateur_api.spec import Model, target_name
from secateur_api.uri import redacted
from secateur_jobs.checkpoint import EXPORTED
from secateur_jobs.report import numerals
from secateur_jobs.report.comparison import compare
from secateur_jobs.report.evidence import Evidence
from secateur_jobs.report.judgement import chosen_by_what_judges, headline, without_labels

_SPECIAL = re.compile(r"([\\`*_{}\[\]|#~!])")


def render(evidence: Evidence) -> bytes:
    """Return the card; names from the job are escaped, so that they read as text wherever they stand.

    Credentials in URIs are not shown.
    """
    parts = [
        _head(evidence),
        *_verdict(evidence),
        *_before_after(evidence),
        *_how(evidence),
        *_use(evidence),
        *_files(evidence),
    ]
    return redacted("\n\n".join(parts) + "\n").encode()


def plain(text: str) -> str:
    """Escape text so that Markdown and HTML show it as it is, on one line."""
    one_line = " ".join(text.split())
    entities = one_line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _SPECIAL.sub(r"\\\1", entities)


def code(text: str) -> str:
    """Set text as inline code, on one line."""
    inside = " ".join(text.split()).replace("|", "\\|")
    fence = "`" * (1 + max((len(run) for run in re.findall(r"`+", inside)), default=0))
    pad = " " if inside.startswith("`") or inside.endswith("`") else ""
    return f"{fence}{pad}{inside}{pad}{fence}"


def _table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Lay out cells that are Markdown already."""
    head = list(header)
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def _head(evidence: Evidence) -> str:
    """Write the YAML head; a ``model-index`` names the measured metric of the pruned model."""
    tags = ["secateur", "pruning", *dict.fromkeys(c.format.value for c in evidence.spec.convert)]
    head: dict[str, Any] = {"library_name": "paddlepaddle", "tags": tags}
    if evidence.model is not None:
        evaluation = evidence.spec.evaluation
        kind = numerals.metric_name(evaluation.model_copy(update={"output": None}))
        metrics = [
            {
                "type": kind,
                "name": f"{numerals.metric_name(evaluation)}, in Paddle",
                "value": evidence.model.outcome.numbers.metric,
            }
        ]
        for measured in evidence.measured:
            run = measured.outcome
            where = f"{target_name(run.format, run.backend)} on {run.device}"
            metrics.append(
                {
                    "type": kind,
                    "name": f"{numerals.metric_name(evaluation)}, {where}",
                    "value": run.pruned.metric,
                }
            )
        dataset = {"type": evidence.spec.data.origin, "name": evidence.spec.data.origin}
        result = {"task": {"type": "other"}, "dataset": dataset, "metrics": metrics}
        head["model-index"] = [{"name": " ".join(evidence.job.split()), "results": [result]}]
    return f"---\n{yaml.safe_dump(head, sort_keys=False, allow_unicode=True)}---"


def _verdict(evidence: Evidence) -> list[str]:
    said = headline(evidence)
    sentence = said.sentence[:1].upper() + said.sentence[1:].removesuffix(".")
    unlabelled = without_labels(evidence)
    parts = [f"# {plain(evidence.job)}", *([plain(unlabelled)] if unlabelled else [])]
    parts.append(f"**{said.state}.** {plain(sentence)}.")
    if said.misses:
        parts.append("\n".join(f"- Missed: {plain(line)}" for line in said.misses))
    if said.note:
        parts.append(plain(said.note))
    choices = chosen_by_what_judges(evidence)
    if choices is not None:
        parts.append(plain(choices))
    if evidence.verdict and evidence.verdict.judged:
        rows = [
            [plain(j.name), plain(j.measured), plain(j.margin), "holds" if j.holds else "**missed**"]
            for j in evidence.verdict.judged
        ]
        parts.append(_table(["Constraint", "Measured", "Margin", "Answer"], rows))
    return parts


def _before_after(evidence: Evidence) -> list[str]:
    rows: list[list[str]] = []
    for section in compare(evidence):
        rows.append([f"**{plain(section.title)}**", "", "", ""])
        rows += [[plain(r.label), r.before, r.after, r.change] for r in section.rows]
    return ["## Before and after", _table(["Quantity", "Before", "After", "Change"], rows)]


def _how(evidence: Evidence) -> list[str]:
    spec = evidence.spec
    facts = [
        f"Network: {code(spec.model.origin)}, inputs "
        + ", ".join(f"{code(i.name)} {plain(str(i.shape))} {i.dtype.value}" for i in spec.model.inputs),
        f"Data: {code(spec.data.origin)}",
        f"What is cut: the {evidence.preflight.cut_as.value}",
        f"Channels chosen by {code(spec.pruning.criterion)}, engine {plain(evidence.groups.engine)}; "
        f"{len(evidence.groups.groups)} groups, {len(evidence.groups.refused)} layers refused",
    ]
    if evidence.rounds:
        accepted = sum(r.gate is not None and r.gate.accepted for r in evidence.rounds)
        facts.append(
            f"Rounds: {len(evidence.rounds)}, accepted: {accepted}; each fine-tuned {spec.fine_tune.epochs} "
            f"epochs on {numerals.share(spec.fine_tune.data_fraction, 0)} of the data, seed {spec.seed}"
        )
    moments = sorted(show_moment(s.measured_at) for s in evidence.stages if s.measured_at)
    if moments:
        facts.append(f"Measured on {' to '.join(dict.fromkeys((moments[0], moments[-1])))}")
    versions = [
        f"{plain(package)} {plain(' / '.join(found))}" for package, found in evidence.versions().items()
    ]
    facts.append("Toolchain: " + ", ".join(versions))
    return ["## How it was made", "\n".join(f"- {fact}" for fact in facts)]


def _use(evidence: Evidence) -> list[str]:
    if evidence.model is None:
        return []
    filename = evidence.model.checkpoint.path.rsplit("/", 1)[-1]
    model = evidence.spec.model
    module, _, name = (model.factory or EXPORTED).partition(":")
    arguments = ", ".join(f"{key}={value!r}" for key, value in _arguments(model).items())
    lines = [
        "import secateur",
        f"from {module} import {name}",
        "",
        f"net = secateur.load({filename!r}, model={name}({arguments}))",
    ]
    text = "\n".join(lines)
    return [
        "## Use",
        "The checkpoint describes its own widths; the uncut network is built by its own code:",
        f"```python\n{text}\n```",
    ]


def _arguments(model: Model) -> dict[str, object]:
    if model.exported is None:
        return model.args
    return {"file": model.exported.uri, "shapes": [one.shape for one in model.inputs]}


def _files(evidence: Evidence) -> list[str]:
    rows: list[list[str]] = []
    if evidence.model is not None:
        ref = evidence.model.checkpoint
        rows.append(["checkpoint", code(ref.path), show_bytes(ref.bytes), code(ref.sha256)])
    for artifact in evidence.pruned_artifacts:
        name = target_name(artifact.format, artifact.backend)
        if artifact.precision is not None:
            name += ", weights in fewer bits"
        rows.append([name, code(artifact.path), show_bytes(artifact.bytes), code(artifact.sha256)])
    if not rows:
        return []
    return ["## Files", _table(["What", "Path in the store", "Size", "SHA-256"], rows)]
