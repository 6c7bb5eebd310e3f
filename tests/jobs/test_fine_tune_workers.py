"""Two processes train one net: as one would, with one result, and a lost one is noticed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from secateur_api.results import RoundPlan
from secateur_api.stage import (
    INPUT_VARIABLE,
    SHARD_VARIABLE,
    TERMINATION_VARIABLE,
    ExitCode,
    Stage,
    StageInput,
    StageSummary,
)
from secateur_jobs.runtime.errors import InvalidInput, Retryable
from secateur_jobs.runtime.process import run_stage
from secateur_jobs.runtime.store import Store
from secateur_jobs.training.parallel.rendezvous import Met, address_of, follow, lead
from tests.jobs.stages import digits_spec, stage_input

pytestmark = pytest.mark.paddle
_ROUND = {"number": 1, "share": 1}


def _spec(**fine_tune: Any) -> dict[str, Any]:
    """A residual net with batch normalisation; batches that two do not divide."""
    settings = {"dataFraction": 0.1, "epochs": 2, "batchSize": 31, "learningRate": 0.002, **fine_tune}
    return digits_spec(
        pruning={"layers": [{"match": "layer3", "ratio": 0.25}], "align": 2},
        convert=[{"format": "onnx"}],
        benchmark=[],
        fineTune=settings,
    )


class Home:
    """A store with a finished preflight."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.store = folder, Store(str(folder / "store"))
        self.upstream: dict[str, Any] = {}
        self.upstream["pretrain"] = self.here(Stage.PRETRAIN, _spec()).unit
        self.upstream["preflight"] = self.here(Stage.PREFLIGHT, _spec()).unit

    def request(self, stage: Stage, spec: dict[str, Any], **more: Any) -> StageInput:
        return stage_input(stage, spec, self.folder / "store", upstream=self.upstream, **more)

    def here(self, stage: Stage, spec: dict[str, Any], **more: Any) -> StageSummary:
        """Run a stage in this process."""
        message = self.folder / "message.json"
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(INPUT_VARIABLE, json.dumps(self.request(stage, spec, **more).to_wire()))
            patch.setenv(TERMINATION_VARIABLE, str(message))
            code = run_stage(stage)
        summary = StageSummary.model_validate_json(message.read_text())
        assert code == ExitCode.DONE, summary.message
        return summary

    def start(self, index: int, spec: dict[str, Any]) -> subprocess.Popen[str]:
        """Start one of the two processes of a round."""
        request = self.request(Stage.ROUND, spec, round=_ROUND, shards=2)
        env = {
            **os.environ,
            INPUT_VARIABLE: json.dumps(request.to_wire()),
            SHARD_VARIABLE: str(index),
            TERMINATION_VARIABLE: str(self.folder / f"{index}.json"),
        }
        command = [sys.executable, "-W", "ignore", "-m", "secateur_jobs", "round"]
        return subprocess.Popen(command, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def said(self, index: int) -> StageSummary:
        return StageSummary.model_validate_json((self.folder / f"{index}.json").read_text())


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Home:
    return Home(tmp_path_factory.mktemp("home"))


def test_two_processes_give_what_one_gives(home: Home) -> None:
    """Weights are not compared: AdamW turns float error where a gradient is nearly 0 into a whole step."""
    one_step = {"batchSize": 121}  # an epoch is one step, of samples that two do not divide
    alone = home.here(Stage.ROUND, _spec(**one_step), round=_ROUND)
    both = [home.start(index, _spec(workers=2, **one_step)) for index in range(2)]
    logs = [process.communicate(timeout=100)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], logs
    first, second = home.said(0), home.said(1)
    assert first.unit == second.unit != alone.unit
    assert first.outcome == second.outcome
    plans = [home.store.unit_json(summary.unit, "plan", RoundPlan) for summary in (alone, first)]
    before_any_step, after_one = zip(*(plan.losses for plan in plans), strict=True)
    assert before_any_step[1] == pytest.approx(before_any_step[0], rel=1e-5)
    assert after_one[1] == pytest.approx(after_one[0], rel=1e-3)
    assert after_one[0] < before_any_step[0] * 0.99  # a step does more than they may differ by
    assert first.outcome.round.numbers.macs == alone.outcome.round.numbers.macs
    # a worker that is started once more finds the work done
    again = home.start(1, _spec(workers=2, **one_step))
    again.communicate(timeout=60)
    assert again.returncode == 0
    assert home.said(1).reused


@pytest.mark.parametrize("victim", [0, 1])
def test_a_lost_process_fails_the_other_one_at_once(home: Home, victim: int) -> None:
    spec = _spec(workers=2, epochs=3000 + victim)
    both = [home.start(index, spec) for index in range(2)]
    out = both[victim].stdout
    assert out is not None
    for line in out:
        if "fine-tune epoch" in line:
            break
    both[victim].send_signal(signal.SIGKILL)
    other = both[1 - victim]
    log = other.communicate(timeout=60)[0]
    both[victim].wait()
    assert other.returncode == ExitCode.RETRYABLE, log
    assert home.said(1 - victim).reason == "WorkerLost"
    assert "spec.fineTune.workers: another worker is lost" in home.said(1 - victim).message
    assert "Traceback" not in log.split("secateur-progress")[-1]


def test_who_does_not_come_is_named(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    with pytest.raises(Retryable, match=r"worker 1 of 0\.\.1 did not come in 0 s.*run at once") as caught:
        lead(store, "round-a", 2, seconds=0.2)
    assert caught.value.reason.value == "WorkerLost"
    # the address that this attempt left leads nowhere: it is not waited for
    with pytest.raises(Retryable, match=r"the first worker was not found in 1 s"):
        follow(store, "round-a", 1, seconds=1.0)


def test_an_old_address_is_passed_over(tmp_path: Path) -> None:
    store, found = Store(str(tmp_path)), {}
    with pytest.raises(Retryable):
        lead(store, "round-a", 3, seconds=0.1)

    def come(rank: int) -> None:
        found[rank] = follow(store, "round-a", rank, seconds=20)

    threads = [threading.Thread(target=come, args=(rank,)) for rank in (2, 1)]
    for thread in threads:
        thread.start()
    met = lead(store, "round-a", 3, seconds=20)
    for thread in threads:
        thread.join()
    for rank, line in enumerate(met.lines, start=1):
        line.tell(rank=rank)
        other = found[rank]
        assert isinstance(other, Met)
        assert other.lines[0].hear(5) == {"rank": rank}
        line.close()
        with pytest.raises(Retryable, match="it has ended"):
            other.lines[0].hear(5)
        other.lines[0].close()


def test_a_host_without_ipv4_is_refused_by_name() -> None:
    assert address_of("127.0.0.1") == "127.0.0.1"
    assert address_of("nobody.invalid") == "127.0.0.1"
    with pytest.raises(InvalidInput, match=r"spec\.fineTune\.workers: ::1 has no IPv4 address"):
        address_of("::1")
