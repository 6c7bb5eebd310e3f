"""A file that the spec names by URI and, maybe, by SHA-256."""

from __future__ import annotations

import hashlib

from secateur_api.conditions import Reason
from secateur_api.uri import redacted
from secateur_jobs.runtime.errors import InvalidInput, MissingData
from secateur_jobs.runtime.files import Files


def read_named(uri: str, sha256: str | None, field: str, missing: Reason, invalid: Reason) -> bytes:
    """Return a file's content.

    ``field`` is where the spec has ``uri`` and ``sha256``, for messages. Raises MissingData(``missing``) if
    the file is not there; InvalidInput(``invalid``) for a URI that cannot be opened, or another sha256;
    Retryable while what it leads to is away.
    """
    content = Files(uri, invalid, f"{field}.uri: ").find()
    if content is None:
        raise MissingData(missing, f"{field}.uri: there is no file {redacted(uri)}")
    digest = hashlib.sha256(content).hexdigest()
    if sha256 not in (None, digest):
        raise InvalidInput(
            invalid,
            f"{field}.sha256: {redacted(uri)} has {digest}, expected {sha256}; another file, or cut short",
        )
    return content
