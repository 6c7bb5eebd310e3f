"""What a person sees: live lines, and the result with its verdict first."""

from __future__ import annotations

import io
from typing import Any

from rich.console import Console

from secateur_api import PruningJob, Stage, parse_job
from secateur_api.inspection import Inspection
from secateur_api.results import Held, Refused, Shares
from secateur_api.status import JobProgress, PruningJobStatus
from secateur_operator.domain.decision import Event
from secateur_operator.domain.plan import StageJob
from secateur_operator.engine.reconciler import Seen
from secateur_operator.view import words
from secateur_operator.view.inspection import print_inspection
from secateur_operator.view.live import LiveView, PlainView
from secateur_operator.view.summary import print_summary
from tests import outcomes
from tests.control_plane.fake_cluster import FakeCluster, ShardEnd
from tests.unit.control.jobs import START, all_well, document, done, drive, failed


def ended(script: Any = all_well, **spec: Any) -> PruningJob:
    cluster = FakeCluster(script, START)
    key = cluster.apply(document(**spec))
    drive(cluster, key)
    return running(cluster.status(key), **spec)


def running(status: PruningJobStatus, **spec: Any) -> PruningJob:
    return parse_job(document(**spec)).model_copy(update={"status": status})


def shown(job: PruningJob) -> str:
    console = Console(file=io.StringIO(), width=110)
    print_summary(console, job)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_verdict_comes_first_then_numbers_constraints_rounds_artifacts() -> None:
    text = shown(ended(constraints=[{"metric": "accuracyDrop", "max": "1%"}]))
    parts = ["digits: Succeeded", "Before and after", "\nConstraints", "\nRounds", "\nArtifacts"]
    places = [text.index(part) for part in parts]
    assert places == sorted(places)
    assert "1.00 M" in text
    assert "500.00 k" in text
    assert "1.60x" in text
    assert "✔ accuracyDrop <= 1%" in text


def test_a_failed_job_shows_what_failed_and_by_how_much() -> None:
    text = shown(ended(constraints=[{"metric": "speedup", "min": "2x"}]))
    assert "digits: Failed  ConstraintsNotMet" in text
    assert "1.60x, 0.40x short" in text
    assert "✘ speedup >= 2x" in text


def test_a_job_that_failed_early_shows_only_what_is_known() -> None:
    def script(wanted: StageJob, index: int) -> ShardEnd:
        return failed(wanted.stage, 64, "FactoryFailed", "spec.model.factory: no module 'nets'")

    text = shown(ended(script))
    assert "pretrain: spec.model.factory: no module 'nets'" in text
    assert "Before and after" not in text
    assert "Artifacts" not in text


def in_a_round() -> PruningJob:
    """Return a job whose second round has said something."""
    cluster = FakeCluster(all_well, START)
    key = cluster.apply(document())
    while not cluster.status(key).rounds:
        try:
            drive(cluster, key, limit=1)
        except AssertionError:
            continue
    progress = JobProgress(percent=40, step="fine-tune epoch 2/3", metric=0.9712, heartbeat="")
    return running(cluster.status(key).model_copy(update={"progress": progress}))


def test_plain_lines_tell_events_and_progress_once() -> None:
    lines: list[str] = []
    now = 0.0
    view = PlainView(lines.append, lambda: now)
    job = in_a_round()
    view.update(Seen(job, (Event("Normal", "StageRunning", "round 2 starts"),), idle=False))
    view.update(Seen(job, (), idle=False))
    now = 10.0
    view.update(Seen(job, (), idle=False))
    assert lines[0].endswith("round 2 starts")
    assert len(lines) == 2
    assert "round 2: fine-tune epoch 2/3 (accuracy 0.9712" in lines[1]


def test_agreement_is_named_where_the_evaluation_set_alone_has_labels() -> None:
    def half_labelled(job: PruningJob) -> PruningJob:
        assert job.status.preflight is not None
        held = Held(metric=1.0, samples=110, by_agreement=True)
        found = job.status.preflight.model_copy(update={"held": held})
        return job.model_copy(update={"status": job.status.model_copy(update={"preflight": found})})

    assert words.current_metric(in_a_round()) == "accuracy 0.9712"
    assert words.current_metric(half_labelled(in_a_round())) == "agreement 0.9712"
    text = shown(half_labelled(ended()))
    assert "Rounds (agreement on 110 held-back training items)" in text
    assert "accuracy (converted)" in text


def test_the_live_block_shows_finished_current_and_coming_stages() -> None:
    console = Console(file=io.StringIO(), width=100, force_terminal=True)
    view = LiveView(console)
    view.update(Seen(in_a_round(), (), idle=False))
    with console.capture() as captured:
        console.print(view._render())
    text = captured.get()
    for part in (
        "preflight",
        "round 1",
        "MACs -20.0%",
        "round 2",
        "fine-tune epoch 2/3",
        "convert",
        "report",
    ):
        assert part in text
    assert "sensitivity" in text


def test_a_rolled_back_round_is_marked() -> None:
    def script(wanted: StageJob, index: int) -> ShardEnd:
        bad = wanted.stage is Stage.ROUND and wanted.input.round.number == 1
        return done(outcomes.summary(wanted.input, drop=0.3 if bad else 0.0))

    assert "rolled back" in shown(ended(script))


def test_the_time_left_comes_from_work_not_from_the_clock() -> None:
    status = in_a_round().status.model_copy(update={"percent": 50.0})
    worked = sum(done.seconds for done in status.stages)
    assert words.seconds_left(status) == worked
    live = JobProgress(percent=50, step="", eta_seconds=10.0, heartbeat="")
    assert words.seconds_left(status.model_copy(update={"progress": live})) == worked + 10
    assert words.seconds_left(status.model_copy(update={"percent": 1.0})) is None


def test_an_inspection_counts_layers_in_words_that_fit_their_number() -> None:
    def last_line(refused: list[str]) -> str:
        found = Inspection(
            model="nets:small",
            inputs=[],
            outputs=[],
            macs=1,
            params=1,
            file_bytes=1,
            groups=[],
            refused=[Refused(layer=layer, reason="its channels are the output") for layer in refused],
            most=Shares(),
            by_default=Shares(),
        )
        console = Console(file=io.StringIO(), width=110)
        print_inspection(console, found, with_layers=False)
        assert isinstance(console.file, io.StringIO)
        return console.file.getvalue().splitlines()[-1].strip()

    assert last_line(["head"]).endswith("0 groups, 1 layer stays")
    assert last_line(["head", "tail"]).endswith("0 groups, 2 layers stay")
