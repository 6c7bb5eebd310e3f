"""What all tests share: how property tests run."""

from __future__ import annotations

from hypothesis import settings

# a machine that is busy with something else is no reason for a property not to hold
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
