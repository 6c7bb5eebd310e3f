"""Credentials that stand in a spec's URIs: the status never shows them, stages are told them."""

from __future__ import annotations

from typing import Any

from secateur_api.uri import HIDDEN, redacted


def hidden(value: Any) -> Any:
    """Return a document with each text redacted."""
    if isinstance(value, dict):
        return {key: hidden(one) for key, one in value.items()}
    if isinstance(value, list):
        return [hidden(one) for one in value]
    return redacted(value) if isinstance(value, str) else value


def revealed(shown: Any, spec: Any) -> Any:
    """Return what :func:`hidden` left of a document, with the credentials that ``spec`` has there."""
    if isinstance(shown, dict) and isinstance(spec, dict):
        return {key: revealed(one, spec.get(key)) for key, one in shown.items()}
    if isinstance(shown, list) and isinstance(spec, list) and len(shown) == len(spec):
        return [revealed(one, other) for one, other in zip(shown, spec, strict=True)]
    if isinstance(shown, str) and HIDDEN in shown and isinstance(spec, str) and redacted(spec) == shown:
        return spec
    return shown
