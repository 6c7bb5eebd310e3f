"""Events: one object for what is said, however often."""

from __future__ import annotations

from secateur_operator.domain.decision import Event
from secateur_operator.gateway.kube.events import event_body
from secateur_operator.gateway.protocol import Key

KEY, AT = Key("team", "digits"), "2026-01-01T00:00:00.000000Z"


def name(uid: str, event: Event) -> str:
    return str(event_body(KEY, uid, event, "pod-1", AT, AT)["metadata"]["name"])


def test_the_name_is_a_function_of_what_is_said() -> None:
    said = Event("Normal", "Done", "round 1 done")
    assert name("u-1", said) == name("u-1", said)
    others = [
        name("u-2", said),
        name("u-1", Event("Normal", "Done", "round 2 done")),
        name("u-1", Event("Warning", "Done", "round 1 done")),
        name("u-1", Event("Normal", "Queued", "round 1 done")),
    ]
    assert len({name("u-1", said), *others}) == 5


def test_a_note_fits_in_bytes() -> None:
    note = event_body(KEY, "u-1", Event("Normal", "Done", "ä" * 2000), "pod-1", AT, AT)["message"]
    assert len(note.encode()) <= 1024
    assert note.endswith("ä...")
