"""The page: the verdict first, every number from the store, nothing from outside, hostile names inert."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import pytest

from secateur_jobs.report import page
from secateur_jobs.report.evidence import gather
from secateur_jobs.runtime.store import Store
from tests.report_job import SampleJob

_VOID = {"meta", "link", "br"}
_HOSTILE = '<script>alert("x")</script>'


class _Tree(HTMLParser):
    """Collects tags, attributes and text; fails on tags that do not nest."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"style"} & set(self.open):
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


def _render(job: SampleJob, folder: Path) -> str:
    store = Store(folder.as_uri())
    return page.render(gather(store, job.write(store))).decode()


def _read(job: SampleJob, folder: Path) -> str:
    return _Tree(_render(job, folder)).text


def test_success_says_what_was_gained(tmp_path: Path) -> None:
    text = _read(SampleJob(), tmp_path)
    assert "Succeeded 52.0% fewer MACs, 46.8% fewer parameters" in text
    assert "accuracy, converted \N{MINUS SIGN}1.13% 98.33% \N{RIGHTWARDS ARROW} 97.22%" in text
    assert "accuracyDrop <= 2% on local-x86 (paddle-lite/x86) 1.13% \N{CHECK MARK} holds" in text


def test_failure_says_which_constraint_by_how_much_and_keeps_the_nearest_model(tmp_path: Path) -> None:
    text = _read(SampleJob(holds=False), tmp_path)
    assert "Failed" in text
    assert "accuracyDrop <= 1% on local-x86 (paddle-lite/x86): measured 1.13%, 0.13 points over" in text
    assert "nearest model, from round 3" in text


def test_every_round_is_shown_with_the_gates_answer(tmp_path: Path) -> None:
    text = _read(SampleJob(rounds=(True, False, True)), tmp_path)
    assert text.count("\N{BALLOT X} rolled back") == 1
    assert text.count("\N{CHECK MARK} accepted") == 2
    assert "3 chosen" in text


def test_what_was_not_measured_is_said_not_made_up(tmp_path: Path) -> None:
    job = SampleJob(sensitivity=False, benchmarks=(), targets=("onnx",), rounds=(True,), judged=False)
    text = _read(job, tmp_path)
    assert "Not judged" in text
    assert "those of round 1; no verdict was reached" in text
    assert "nearest" not in text
    assert "Not measured: no benchmark was run." in text
    assert "Not measured: rules in pruning.layers fix every ratio" in text
    assert "latency p50" not in text
    assert "not judged" in text


def test_without_any_round_there_is_still_a_page(tmp_path: Path) -> None:
    text = _read(SampleJob(rounds=(), holds=False), tmp_path)
    assert "No model could be measured." in text
    assert "accuracy 98.33% not measured" in text


def test_versions_of_every_stage_and_of_the_converter_are_shown(tmp_path: Path) -> None:
    text = _read(SampleJob(), tmp_path)
    assert "paddlepaddle 3.1.1" in text
    assert "lite-paddlelite 2.13rc0" in text
    assert "--valid_targets=arm" in text


def test_all_groups_and_refusals_are_named(tmp_path: Path) -> None:
    names = [f"layer{i}.conv" for i in range(60)]
    html = _render(SampleJob(groups=names, refused={"head": "its outputs are the classes"}), tmp_path)
    tree = _Tree(html)
    assert all(name in tree.text for name in names)
    assert "head its outputs are the classes" in tree.text
    assert len(html) < 3_000_000


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    job = SampleJob(
        name=_HOSTILE, groups=[_HOSTILE, '"><img src=x onerror=alert(1)>'], refused={_HOSTILE: _HOSTILE}
    )
    tree = _Tree(_render(job, tmp_path))
    assert not [tag for tag, _ in tree.tags if tag in ("script", "img", "iframe", "object")]
    assert not [name for _, attrs in tree.tags for name in attrs if name.startswith("on")]
    assert _HOSTILE in tree.text


@pytest.mark.parametrize(
    "job", [SampleJob(), SampleJob(benchmarks=("onnx",)), SampleJob(metric="my.mod:cer")]
)
def test_nothing_is_loaded_from_outside(job: SampleJob, tmp_path: Path) -> None:
    html = _render(job, tmp_path)
    for tag, attrs in _Tree(html).tags:
        assert "src" not in attrs, tag
        assert (attrs.get("href") or "#").startswith(("#", "data:"))
    assert "http:" not in html
    assert "https:" not in html
    assert "url(" not in html


def test_pictures_are_read_out_and_tables_have_headers(tmp_path: Path) -> None:
    html = _render(SampleJob(), tmp_path)
    tree = _Tree(html)
    pictures = [attrs for tag, attrs in tree.tags if tag == "svg" and attrs.get("role") == "img"]
    assert pictures
    assert all(attrs["aria-label"] for attrs in pictures)
    assert all(attrs.get("scope") for tag, attrs in tree.tags if tag == "th")
    assert "NaN" not in html
    assert "nan" not in tree.text.split()


def test_the_same_evidence_gives_the_same_bytes(tmp_path: Path) -> None:
    assert _render(SampleJob(), tmp_path / "a") == _render(SampleJob(), tmp_path / "b")
