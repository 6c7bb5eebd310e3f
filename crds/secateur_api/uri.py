"""URIs as they may be shown: without the passwords and signatures that some carry."""

from __future__ import annotations

import re

_USERINFO = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*://)[^/?#\s'\"@]*(?:@[^/?#\s'\"@]*)*@")
_SECRET = re.compile(
    r"(?P<name>[?&#;](?:[\w.%-]*(?:signature|credential|token|secret|password|passwd|key)[\w.%-]*|sig|auth)=)"
    r"[^&#;\s'\"]+",
    re.IGNORECASE,
)
HIDDEN = "***"


def redacted(text: str) -> str:
    """Return a URI, or a text with URIs in it, without users and passwords, signatures and tokens."""
    return _SECRET.sub(rf"\g<name>{HIDDEN}", _USERINFO.sub(rf"\g<scheme>{HIDDEN}@", text))
