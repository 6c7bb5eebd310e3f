"""``secateur operator`` as a process: it starts, leads, hands over, and ends, as its replicas would."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.conftest import server as server  # the fixture
from tests.api.server import Server
from tests.cluster_kit.operator import Operator
from tests.cluster_kit.waiting import wait_until
from tests.integration.operators import LEASE, Place, leads, place

pytestmark = pytest.mark.api
AT_ONCE = 6.0
"""Seconds: the standby looks at the lease every two; the machine is slow."""


@pytest.fixture
def home(server: Server, tmp_path: Path) -> Iterator[Place]:
    with place(server, tmp_path) as found:
        yield found


def assert_clean(*operators: Operator) -> None:
    """No operator's log holds an error, or a line that is no JSON."""
    assert [line for one in operators for line in one.unexpected()] == []


def seconds_until_it_leads(operator: Operator) -> float:
    began = time.monotonic()
    wait_until("it leads", lambda: leads(operator), 25, operator.tail)
    return time.monotonic() - began


def end(operator: Operator, number: signal.Signals) -> float:
    """Send a signal; return after how many seconds the process has ended."""
    began = time.monotonic()
    os.kill(operator.pid, number)
    wait_until("it has ended", lambda: not operator.is_running(), 15, operator.tail)
    return time.monotonic() - began


def test_it_becomes_ready_says_what_is_wrong_and_stops_in_order(home: Place) -> None:
    operator = home.operator()
    operator.start()
    home.submit("no-store")
    home.wait_until_stalled("no-store")
    stalled = home.condition("no-store", "Stalled")
    assert stalled["status"] == "True"
    assert "spec.store: a store is required" in stalled["message"]
    assert end(operator, signal.SIGTERM) < 10.0
    assert operator.exit_code == 0
    assert home.holder() == ""
    assert_clean(operator)


def test_it_finds_what_was_there_before_it(home: Place) -> None:
    home.submit("earlier")
    operator = home.operator("--no-leader-elect")
    operator.start()
    home.wait_until_stalled("earlier")
    assert_clean(operator)


def test_a_standby_is_ready_and_does_nothing(home: Place) -> None:
    first, second = home.pair()
    assert second.is_ready()
    assert not leads(second)
    home.submit("job")
    home.wait_until_stalled("job")
    # the status comes first, the line in the log after it
    wait_until("the leader says so", lambda: "InvalidSpec" in first.tail(), 10, first.tail)
    assert "InvalidSpec" not in second.tail()
    assert 'resource="pruningjobs"' not in second.metrics()
    assert_clean(first, second)


def test_after_sigterm_the_other_takes_over_at_once(home: Place) -> None:
    first, second = home.pair()
    assert end(first, signal.SIGTERM) < 10.0
    assert seconds_until_it_leads(second) < AT_ONCE
    home.submit("after")
    home.wait_until_stalled("after")
    assert_clean(first, second)


def test_after_kill_9_the_other_takes_over_within_20_seconds(home: Place) -> None:
    first, second = home.pair()
    end(first, signal.SIGKILL)
    assert seconds_until_it_leads(second) < 20.0
    home.submit("after")
    home.wait_until_stalled("after")
    assert_clean(first, second)


def test_a_leader_that_was_paused_writes_nothing_when_it_wakes(home: Place) -> None:
    first, second = home.pair()
    os.kill(first.pid, signal.SIGSTOP)
    names = [f"job-{number}" for number in range(10)]
    for name in names:
        home.submit(name)  # the first hears of them when it wakes
    assert seconds_until_it_leads(second) < 20.0
    for name in names:
        home.wait_until_stalled(name)
    holder = home.holder()
    before = [home.read("pruningjob", name)["metadata"]["resourceVersion"] for name in names]
    said = first.lines_so_far()
    assert end(first, signal.SIGCONT) < 10.0
    assert first.exit_code == 1
    assert "this process ends; start it again" in first.tail()
    assert len(first.unexpected(said)) == 1  # that line
    assert home.holder() == holder
    assert [home.read("pruningjob", name)["metadata"]["resourceVersion"] for name in names] == before
    assert_clean(second)


def test_a_leader_whose_lease_is_deleted_ends(home: Place) -> None:
    operator = home.operator()
    operator.start()
    wait_until("it leads", lambda: leads(operator), 20, operator.tail)
    home.server.kubectl("delete", "lease", LEASE, "-n", home.namespace)
    wait_until("it has ended", lambda: not operator.is_running(), 10, operator.tail)
    assert operator.exit_code == 1
    assert "the lease was deleted" in operator.tail()
    assert not home.there("lease", LEASE)  # it did not make it anew by renewing it


def test_without_an_api_server_to_talk_to_it_says_so(tmp_path: Path) -> None:
    program = str(Path(sys.executable).with_name("secateur"))
    env = {**os.environ, "KUBECONFIG": str(tmp_path / "nowhere")}
    done = subprocess.run([program, "operator"], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("no API server: ")
    assert "set KUBECONFIG, or run in a pod" in done.stderr
