"""Who leads: one candidate's view of the Lease, and what it does next. Pure; the caller brings the time.

No clock is compared with another's. A candidate takes a Lease over only after it has itself seen it unchanged
for its whole duration; a leader stops writing when its last renewal is older than the deadline, counted from
before that renewal was sent. The deadline is the shorter of the two: the old leader has stopped before the
new one begins. A Lease that is not there may have been deleted under a leader that does not know: who creates
it leads only after the deadline.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from secateur_operator.gateway.kube.lease import Lease


@dataclass(frozen=True)
class Timing:
    """Seconds; the defaults are those of Kubernetes' own controllers."""

    duration: float = 15.0
    """A Lease that was not renewed for so long may be taken over."""
    deadline: float = 10.0
    """A leader whose last renewal is so old stops."""
    retry: float = 2.0
    """Between two renewals, and between two looks at another's Lease."""


USUAL = Timing()


class Candidate:
    """One process that would lead. Times are seconds of its own clock, which never goes back."""

    def __init__(self, identity: str, timing: Timing = USUAL) -> None:
        """``identity`` is of this process alone."""
        self._identity = identity
        self._timing = timing
        self._seen: Lease | None = None
        self._seen_since = 0.0
        self._renewed: float | None = None
        self._leads_from = 0.0
        self.lost: str | None = None
        """Why it leads no more; it never will again."""

    @property
    def holds(self) -> bool:
        """Whether the Lease is its own, as far as it knows."""
        return self._renewed is not None and self.lost is None

    @property
    def holder(self) -> str:
        """Who held the Lease when it was last seen; empty if nobody did."""
        return self._seen.holder if self._seen else ""

    @property
    def leads_from(self) -> float:
        """When a holder begins to lead."""
        return self._leads_from

    def may_write(self, now: float) -> bool:
        """Whether it leads: the fence that each write passes."""
        if self._renewed is None or self.lost is not None:
            return False
        return self._leads_from <= now < self._renewed + self._timing.deadline

    def proposal(self, now: float, stamp: str) -> Lease | None:
        """Return the Lease to write now; None: wait, and read it again. ``stamp`` is the time for people."""
        if self.lost is not None:
            return None
        if self.holds:
            self._check_deadline(now)
        seen = self._seen
        if self.lost is not None or not (self.holds or self._is_free(now)):
            return None
        renewed = Lease(self._identity, round(self._timing.duration), stamp, stamp)
        if seen is None:
            return renewed
        if seen.holder == self._identity:
            return replace(seen, renewed_at=stamp, duration_seconds=renewed.duration_seconds)
        return replace(renewed, transitions=seen.transitions + 1, version=seen.version, uid=seen.uid)

    def read(self, lease: Lease | None, now: float) -> None:
        """Take over what a read returned; ``now`` is after it returned."""
        if self.holds and (lease is None or lease.holder != self._identity):
            self._lose(f"the lease is {lease.holder or 'nobody'}'s now" if lease else "the lease was deleted")
        if lease != self._seen:
            self._seen, self._seen_since = lease, now

    def wrote(self, lease: Lease, sent: float, now: float) -> None:
        """Its proposal was accepted; it was sent and answered at these times."""
        if self.lost is not None:
            return
        if not self.holds:
            # nobody's before, or made by a write of ours that got no answer
            is_new = self._seen is None or self._seen.holder == self._identity
            self._leads_from = now + self._timing.deadline if is_new else now
        self._renewed = sent
        self._seen, self._seen_since = lease, now

    def failed(self, now: float) -> None:
        """A read or write did not work, or nobody knows whether it did."""
        if self.holds:
            self._check_deadline(now)

    def farewell(self, now: float, stamp: str) -> Lease | None:
        """Stop leading; return the Lease to write so that another may follow at once.

        None where it may not: a new Lease that has not stood for the deadline runs out, as an earlier leader
        may still write.
        """
        seen, stood = self._seen, now >= self._leads_from
        if not self.holds or seen is None:
            return None
        self._lose("it stepped down")
        # a second, not zero: the API server refuses a lease without duration
        return replace(seen, holder="", renewed_at=stamp, duration_seconds=1) if stood else None

    def _is_free(self, now: float) -> bool:
        seen = self._seen
        if seen is None or not seen.holder or seen.holder == self._identity:
            return True
        return now - self._seen_since >= max(self._timing.duration, seen.duration_seconds)

    def _check_deadline(self, now: float) -> None:
        if self._renewed is not None and now >= self._renewed + self._timing.deadline:
            self._lose(f"the lease was not renewed for {now - self._renewed:.1f} s")

    def _lose(self, why: str) -> None:
        self.lost = why
