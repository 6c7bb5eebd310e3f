"""JSON files that tell by themselves whether they are whole, and in their place."""

from __future__ import annotations

import hashlib
import json
from typing import Any, TypeVar

from pydantic import ValidationError

from secateur_api.base import Contract

C = TypeVar("C", bound=Contract)
_SEAL = "seal"


class Broken(Exception):
    """The message says how."""


def sealed(place: str, value: Contract) -> bytes:
    """Return ``value`` as JSON with a seal over its content and ``place``, what it belongs to."""
    document = value.model_dump(mode="json", by_alias=True)
    return json.dumps({**document, _SEAL: _seal(place, document)}, indent=1).encode()


def unsealed(place: str, content: bytes, model: type[C]) -> C:
    """Read what :func:`sealed` wrote; raises Broken if any of it has changed, or it belongs elsewhere."""
    try:
        document = json.loads(content)
        seal = document.pop(_SEAL, None)
    except (ValueError, AttributeError, TypeError, RecursionError):
        raise Broken("it is damaged or cut short") from None
    if seal is None:
        raise Broken("it has no seal: another version or another program wrote it, or it was cut short")
    if seal != _seal(place, document):
        raise Broken("its numbers are not those that were written, or it was written for something else")
    try:
        return model.model_validate(document)
    except ValidationError as error:
        raise Broken(f"another version wrote it ({error.errors()[0]['msg']})") from None


def _seal(place: str, document: dict[str, Any]) -> str:
    text = json.dumps([place, document], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
