"""The model card: a head that the Hub reads, tables that stay tables, names that stay text."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from markdown_it import MarkdownIt

from secateur_jobs.report import card, page
from secateur_jobs.report.evidence import gather
from secateur_jobs.runtime.store import Store
from tests.report_job import SampleJob


def _render(job: SampleJob, folder: Path) -> tuple[dict[str, object], str]:
    store = Store(folder.as_uri())
    text = card.render(gather(store, job.write(store))).decode()
    _, head, body = text.split("---\n", 2)
    return yaml.safe_load(head), body


def _html(body: str) -> str:
    return MarkdownIt("commonmark").enable("table").render(body)


def test_head_names_the_measured_metrics(tmp_path: Path) -> None:
    head, _ = _render(SampleJob(), tmp_path)
    assert head["library_name"] == "paddlepaddle"
    assert {"secateur", "paddle-lite", "onnx"} <= set(head["tags"])  # type: ignore[call-overload]
    (result,) = head["model-index"][0]["results"]  # type: ignore[index]
    assert [m["name"] for m in result["metrics"]] == [
        "accuracy, in Paddle",
        "accuracy, paddle-lite/x86 on local-x86",
        "accuracy, onnx on local-x86",
    ]
    assert result["metrics"][1]["value"] == 0.9722


def test_without_labels_the_first_line_says_so_and_nothing_is_called_accuracy(tmp_path: Path) -> None:
    head, body = _render(SampleJob(metric="agreement"), tmp_path)
    first = next(line for line in body.splitlines() if line and not line.startswith("#"))
    assert first.startswith("No labels were seen: the numbers are agreement with the unpruned model")
    assert "100.00% by definition" in body or "% by definition" in body
    metrics = head["model-index"][0]["results"][0]["metrics"]  # type: ignore[index]
    assert {m["type"] for m in metrics} == {"agreement"}


def test_body_gives_the_verdict_and_how_to_load(tmp_path: Path) -> None:
    _, body = _render(SampleJob(holds=False), tmp_path)
    html = _html(body)
    assert "<strong>Failed.</strong>" in html
    assert "Missed: accuracyDrop &lt;= 1%" in html
    assert "secateur.load('checkpoint.bin', model=" in body
    assert "cd" * 32 in body


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", "a|b|c", "*x* [y](z) `q`", "line\n# break"])
def test_hostile_names_stay_text(name: str, tmp_path: Path) -> None:
    head, body = _render(SampleJob(name=name), tmp_path)
    html = MarkdownIt("commonmark", {"html": True}).enable("table").render(body)
    one_line = " ".join(name.split())
    escaped = one_line.replace("<", "&lt;").replace(">", "&gt;")
    assert f"<h1>{escaped}</h1>" in html
    assert head["model-index"][0]["name"] == one_line  # type: ignore[index]


@pytest.mark.parametrize("text", ["a|b", "`", "``x``", "plain", "a\nb"])
def test_code_in_a_table_cell_survives(text: str) -> None:
    html = _html(f"| h |\n| --- |\n| {card.code(text)} |\n")
    assert f"<td><code>{' '.join(text.split())}</code></td>" in html


def test_a_job_without_rounds_has_a_card(tmp_path: Path) -> None:
    head, body = _render(SampleJob(rounds=(), holds=False), tmp_path)
    assert "model-index" not in head
    assert "No model could be measured" in body
    assert "## Use" not in body


def test_the_judged_output_is_named_and_the_others_are_shown(tmp_path: Path) -> None:
    store = Store(tmp_path.as_uri())
    evidence = gather(store, SampleJob().write(store))
    assert evidence.model is not None
    outcome = evidence.model.outcome.model_copy(update={"drift": {"boxes": 0.0123}})
    evaluation = evidence.spec.evaluation.model_copy(update={"output": "scores"})
    evidence = replace(
        evidence,
        spec=evidence.spec.model_copy(update={"evaluation": evaluation}),
        model=replace(evidence.model, outcome=outcome),
    )
    text = card.render(evidence).decode()
    assert "name: accuracy of output scores, in Paddle" in text
    assert "- type: accuracy\n" in text
    assert "| output boxes, which no metric judges |  | moved by 1.23% |  |" in text


def test_credentials_are_shown_in_neither_card_nor_page(tmp_path: Path) -> None:
    store = Store(tmp_path.as_uri())
    evidence = gather(store, SampleJob().write(store))
    model = evidence.spec.model.model_copy(update={"args": {"at": "s3://me:hush@host/a.npz?token=hush&x=1"}})
    named = replace(evidence, spec=evidence.spec.model_copy(update={"model": model}))
    for text in (card.render(named).decode(), page.render(named).decode()):
        assert "s3://***@host/a.npz" in text
        assert "hush" not in text
