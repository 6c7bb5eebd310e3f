"""URIs: of local paths, and as they may be shown, without the passwords and signatures that some carry.

A ``file:`` URI is ``file://`` and the path as it is, as for fsspec: ``%`` and ``#`` stand for themselves.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

_USERINFO = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*://)[^/?#\s'\"@]*(?:@[^/?#\s'\"@]*)*@")
_SECRET = re.compile(
    r"(?P<name>[?&#;](?:[\w.%-]*(?:signature|credential|token|secret|password|passwd|key)[\w.%-]*|sig|auth)=)"
    r"[^&#;\s'\"]+",
    re.IGNORECASE,
)
HIDDEN = "***"
_FILE = "file://"


def file_uri(path: Path) -> str:
    """Return the URI of an absolute path."""
    return f"{_FILE}{path}"


def local_path(uri: str) -> Path | None:
    """Return the path that a URI with ``file:`` or without scheme names; None for any other scheme."""
    if uri.startswith(_FILE):
        return Path(uri.removeprefix(_FILE))
    return None if "://" in uri else Path(os.path.expanduser(uri))


def redacted(text: str) -> str:
    """Return a URI, or a text with URIs in it, without users and passwords, signatures and tokens."""
    return _SECRET.sub(rf"\g<name>{HIDDEN}", _USERINFO.sub(rf"\g<scheme>{HIDDEN}@", text))
