"""A file that the spec names by URI and, maybe, by SHA-256."""

from __future__ import annotations

import hashlib

import fsspec

from secateur_api.conditions import Reason
from secateur_jobs.runtime.errors import InvalidInput, MissingData


def read_named(uri: str, sha256: str | None, field: str, missing: Reason, invalid: Reason) -> bytes:
    """Return a file's content.

    ``field`` is where the spec has ``uri`` and ``sha256``, for messages. Raises MissingData(``missing``) if
    the file is not there; InvalidInput(``invalid``) for a URI that cannot be opened, or another sha256.
    """
    try:
        with fsspec.open(uri, "rb") as file:
            content = bytes(file.read())
    except (FileNotFoundError, IsADirectoryError):
        raise MissingData(missing, f"{field}.uri: there is no file {uri}") from None
    except (ValueError, ImportError) as error:  # an unknown protocol, or its package is not installed
        raise InvalidInput(invalid, f"{field}.uri: {uri}: {error}") from None
    digest = hashlib.sha256(content).hexdigest()
    if sha256 not in (None, digest):
        raise InvalidInput(
            invalid, f"{field}.sha256: {uri} has {digest}, expected {sha256}; another file, or cut short"
        )
    return content
