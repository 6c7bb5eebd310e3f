"""The election: single decisions, and that no interleaving whatever gives two leaders."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from secateur_operator.cluster.election import Candidate, Timing
from secateur_operator.gateway.kube.lease import Lease

NOW = "2026-01-01T00:00:00.000000Z"


def held_by(holder: str, version: str = "1") -> Lease:
    return Lease(holder, 15, NOW, NOW, version=version)


def leader(at: float = 100.0) -> Candidate:
    """Return a candidate that took over a free lease at a time."""
    candidate = Candidate("me")
    candidate.read(held_by(""), at)
    take(candidate, at)
    return candidate


def take(candidate: Candidate, at: float, version: str = "2") -> None:
    proposal = candidate.proposal(at, NOW)
    assert proposal is not None
    candidate.wrote(replace(proposal, version=version), at, at)


def test_a_lease_that_was_released_is_taken_at_once() -> None:
    candidate = Candidate("me")
    candidate.read(held_by(""), 100.0)
    proposal = candidate.proposal(100.0, NOW)
    assert proposal == Lease("me", 15, NOW, NOW, transitions=1, version="1")
    take(candidate, 100.0)
    assert candidate.may_write(100.0)
    assert candidate.may_write(109.9)
    assert not candidate.may_write(110.0)


def test_another_s_lease_is_taken_after_it_was_seen_unchanged_for_its_duration() -> None:
    candidate = Candidate("me")
    candidate.read(held_by("other"), 100.0)
    candidate.read(held_by("other"), 114.9)
    assert candidate.proposal(114.9, NOW) is None
    candidate.read(held_by("other", version="2"), 114.95)  # renewed
    assert candidate.proposal(129.9, NOW) is None
    assert candidate.proposal(130.0, NOW) is not None


def test_what_the_lease_s_own_clock_says_does_not_count() -> None:
    candidate = Candidate("me")
    candidate.read(replace(held_by("other"), renewed_at="1999-01-01T00:00:00.000000Z"), 100.0)
    assert candidate.proposal(101.0, NOW) is None


def test_a_longer_duration_that_the_leader_asked_for_is_respected() -> None:
    candidate = Candidate("me")
    candidate.read(replace(held_by("other"), duration_seconds=60), 100.0)
    assert candidate.proposal(159.0, NOW) is None
    assert candidate.proposal(160.0, NOW) is not None


def test_who_creates_the_lease_leads_after_the_deadline() -> None:
    candidate = Candidate("me")
    candidate.read(None, 100.0)
    take(candidate, 100.0)
    assert candidate.holds
    assert not candidate.may_write(109.9)
    take(candidate, 108.0)
    assert candidate.may_write(110.0)


def test_a_write_that_got_no_answer_counts_once_it_is_seen() -> None:
    candidate = Candidate("me")
    candidate.read(None, 100.0)
    assert candidate.proposal(100.0, NOW) is not None
    candidate.failed(105.0)
    candidate.read(held_by("me"), 107.0)
    assert not candidate.may_write(107.0)
    take(candidate, 107.0)
    assert not candidate.may_write(116.9)
    take(candidate, 115.0)
    assert candidate.may_write(117.0)


def test_renewals_keep_it_and_time_outs_do_not() -> None:
    candidate = leader(100.0)
    take(candidate, 102.0, "3")
    candidate.failed(107.0)
    assert candidate.lost is None
    candidate.failed(112.0)
    assert candidate.lost == "the lease was not renewed for 10.0 s"
    assert candidate.proposal(112.0, NOW) is None


def test_a_process_that_was_paused_writes_nothing_when_it_wakes() -> None:
    candidate = leader(100.0)
    woken = 160.0
    assert not candidate.may_write(woken)
    assert candidate.proposal(woken, NOW) is None
    assert candidate.lost == "the lease was not renewed for 60.0 s"


@pytest.mark.parametrize(
    ("there", "why"),
    [
        (None, "the lease was deleted"),
        (held_by("other", "9"), "the lease is other's now"),
        (held_by("", "9"), "the lease is nobody's now"),
    ],
)
def test_a_lease_that_is_another_s_or_gone_is_lost_for_ever(there: Lease | None, why: str) -> None:
    candidate = leader(100.0)
    candidate.read(there, 101.0)
    assert candidate.lost == why
    assert not candidate.may_write(101.0)
    candidate.read(held_by(""), 102.0)
    assert candidate.proposal(102.0, NOW) is None


def test_a_lease_that_was_only_annotated_is_kept() -> None:
    candidate = leader(100.0)
    candidate.read(held_by("me", "9"), 101.0)
    proposal = candidate.proposal(102.0, NOW)
    assert proposal is not None
    assert proposal.version == "9"


def test_stepping_down_frees_the_lease_and_closes_the_fence() -> None:
    candidate = leader(100.0)
    farewell = candidate.farewell(101.0, NOW)
    assert farewell is not None
    assert (farewell.holder, farewell.version) == ("", "2")
    assert not candidate.may_write(100.0)
    assert candidate.farewell(101.0, NOW) is None


def test_stepping_down_before_it_led_frees_nothing() -> None:
    """Another could else lead at once, while a leader whose lease was deleted does not know yet."""
    candidate = Candidate("me")
    candidate.read(None, 100.0)
    take(candidate, 100.0)
    assert candidate.farewell(105.0, NOW) is None
    assert not candidate.holds


# ---- no two leaders ----


@dataclass
class Server:
    """Holds the lease as an API server does: versions, conflicts, deletion."""

    lease: Lease | None = None
    serial: int = 0

    def write(self, proposal: Lease) -> Lease | None:
        """Return what is there now; None for a conflict."""
        there = self.lease.version if self.lease else None
        if proposal.version != there:
            return None
        self.serial += 1
        self.lease = replace(proposal, version=str(self.serial))
        return self.lease


@dataclass
class Process:
    """A candidate, its own clock, and the one request that it may have under way."""

    candidate: Candidate
    offset: float
    request: Lease | str | None = None
    """A proposal, or ``read``."""
    sent: float = 0.0
    answer: Any = None
    served: bool = False
    has_read: bool = False

    def clock(self, now: float) -> float:
        return now + self.offset


@dataclass
class World:
    """Some processes, one server; every step is chosen from outside."""

    processes: list[Process]
    server: Server = field(default_factory=Server)
    late: list[Lease] = field(default_factory=list)
    """Writes that their senders have given up and that the server has not carried out yet."""
    now: float = 0.0

    def step(self, what: str, who: int, seconds: float) -> None:
        process = self.processes[who % len(self.processes)]
        {
            "turn": self.turn,
            "send": self.send,
            "serve": self.serve,
            "answer": self.answer,
            "drop": self.drop,
            "late": lambda _: self.server.write(self.late.pop(0)) if self.late else None,
            "resign": self.resign,
            "delete": lambda _: setattr(self.server, "lease", None),
            "wait": lambda _: setattr(self, "now", self.now + seconds),
        }[what](process)

    def turn(self, process: Process) -> None:
        self.send(process)
        self.serve(process)
        self.answer(process)

    def send(self, process: Process) -> None:
        if process.request is not None:
            return
        now = process.clock(self.now)
        proposal = process.candidate.proposal(now, NOW) if process.has_read else None
        process.request, process.sent, process.served = proposal or "read", now, False

    def serve(self, process: Process) -> None:
        """The server carries the request out; the answer is on its way."""
        if process.request is None or process.served:
            return
        is_read = isinstance(process.request, str)
        process.answer = self.server.lease if is_read else self.server.write(process.request)  # type: ignore[arg-type]
        process.served = True

    def answer(self, process: Process) -> None:
        if not process.served:
            return
        now = process.clock(self.now)
        if isinstance(process.request, str):
            process.has_read = True
            process.candidate.read(process.answer, now)
        elif process.answer is None:
            process.has_read = False  # a conflict: it reads before it proposes again
        else:
            process.candidate.wrote(process.answer, process.sent, now)
        process.request, process.served = None, False

    def drop(self, process: Process) -> None:
        """No answer comes; the request may have been carried out, or (a write) be carried out later."""
        if isinstance(process.request, Lease) and not process.served:
            self.late.append(process.request)
        process.candidate.failed(process.clock(self.now))
        process.request, process.served, process.has_read = None, False, False

    def resign(self, process: Process) -> None:
        if (
            process.request is None
            and (farewell := process.candidate.farewell(process.clock(self.now), NOW)) is not None
        ):
            self.server.write(farewell)

    def leaders(self) -> list[str]:
        return [
            process.candidate.holder
            for process in self.processes
            if process.candidate.may_write(process.clock(self.now))
        ]


def world(count: int) -> World:
    return World([Process(Candidate(f"p{n}", Timing()), offset=1000.0 * n) for n in range(count)])


Step = tuple[str, int, float]
WHAT = ["turn"] * 8 + ["wait"] * 6 + ["send", "serve", "answer", "drop", "late", "resign", "delete"]


def walk(dice: random.Random, length: int) -> list[Step]:
    """Return random steps; one process acts for a while, the others are paused or slow meanwhile."""
    steps, who = [], 0
    for _ in range(length):
        if dice.random() < 0.3:
            who = dice.randrange(3)
        steps.append((dice.choice(WHAT), who, dice.choice([0.5, 2.0, 4.5, 9.5, 14.5])))
    return steps


DELETED_UNDER_A_LEADER = [
    *[("turn", 0, 0.0)] * 2,  # p0 creates the lease
    ("wait", 0, 9.0),
    ("turn", 0, 0.0),  # and renews it
    ("wait", 0, 1.0),
    ("delete", 0, 0.0),
    *[("turn", 1, 0.0)] * 2,  # p1 creates another
    ("wait", 0, 5.0),
]


def never_two(steps: list[Step], processes: int, start: Lease | None) -> None:
    found = world(processes)
    found.server.lease = start
    for number, step in enumerate(steps):
        found.step(*step)
        assert len(found.leaders()) <= 1, steps[: number + 1]


@pytest.mark.parametrize("start", [held_by("", "0"), None])
@pytest.mark.parametrize("processes", [2, 3])
@pytest.mark.parametrize("seed", range(5))
def test_there_are_never_two_leaders(seed: int, processes: int, start: Lease | None) -> None:
    dice = random.Random(seed)
    for _ in range(250):
        never_two(walk(dice, 60), processes, start)


def test_nor_when_the_lease_is_deleted_under_a_leader() -> None:
    never_two(DELETED_UNDER_A_LEADER, 2, None)


def test_the_model_does_get_leaders() -> None:
    """Else the property would hold for nothing."""
    found = world(2)
    for _ in range(5):
        found.step("turn", 0, 0.0)
        found.step("wait", 0, 4.0)
    assert found.leaders() == ["p0"]
    found.step("resign", 0, 0.0)
    found.step("turn", 1, 0.0)
    found.step("turn", 1, 0.0)
    assert found.leaders() == ["p1"]
