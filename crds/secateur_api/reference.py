"""The field reference of the spec, as Markdown: ``python -m secateur_api.reference > docs/reference.md``."""

from __future__ import annotations

import json
import re
from typing import Any

from secateur_api.base import API_VERSION, KIND
from secateur_api.crd import schema_of
from secateur_api.quantity import DURATION, PERCENT
from secateur_api.spec import PruningJobSpec
from secateur_api.spec.types import CALLABLE

_HEAD = f"""# Field reference

Every field of the spec of a {KIND} (`{API_VERSION}`), generated from the models that the CRD comes from.
The [guide](guide.md) says what the fields are for. A field without a default may be left out, unless it is
*required*.
"""
_PATTERNS = {
    PERCENT: "a percentage such as `50%`",
    DURATION: "a duration such as `500ms` or `6h`",
    rf"^{CALLABLE}$": "`module:callable`",
    r"^[0-9a-f]{64}$": "64 hexadecimal digits",
    r"^[A-Za-z_][A-Za-z0-9_.-]*$": "letters, digits, `_`, `.`, `-`",
}
_CHOICE = re.compile(r"^\^\(((?:\w+\|)+)\[")
_QUANTITY = "a quantity such as `1%`, `500ms`, `50Mi`, `300M` or `1.3x`"

Schema = dict[str, Any]


def reference() -> str:
    """Return the whole page."""
    sections: list[str] = [_HEAD]
    _section("spec", schema_of(PruningJobSpec), sections)
    return "\n".join(sections)


def _section(path: str, schema: Schema, out: list[str]) -> None:
    """Append an object's section, then those of the objects in it."""
    out.append(f"## `{path}`\n")
    out.append(f"{_prose(schema.get('description', ''))}\n")
    required = set(schema.get("required", ()))
    out.append("| Field | Type | Default | Allowed | Meaning |\n| --- | --- | --- | --- | --- |")
    for name, field in schema["properties"].items():
        default = "*required*" if name in required else _default(field)
        cells = [f"`{name}`", _type(path, name, field), default, _allowed(field)]
        out.append("| " + " | ".join([*cells, _prose(field.get("description", ""))]) + " |")
    out.append("")
    rules = [rule["message"] for rule in schema.get("x-kubernetes-validations", ())]
    if rules:
        out.append("Rules:\n\n" + "\n".join(f"- {_prose(rule)}" for rule in rules) + "\n")
    for name, field in schema["properties"].items():
        inner = field.get("items", field)
        if "properties" in inner:
            _section(_path(path, name, field), inner, out)


def _path(path: str, name: str, field: Schema) -> str:
    return f"{path}.{name}[]" if "items" in field else f"{path}.{name}"


def _type(path: str, name: str, field: Schema) -> str:
    inner = field.get("items", field)
    if inner.get("x-kubernetes-int-or-string"):
        return "string or integer"
    if "properties" in inner:
        where = _path(path, name, field)
        words = f"[{'list of objects' if 'items' in field else 'object'}](#{_anchor(where)})"
    elif "items" in field:
        words = f"list of {inner['type']}"
    else:
        words = "mapping" if inner["type"] == "object" else inner["type"]
    return words


def _anchor(path: str) -> str:
    """Return the anchor that GitHub gives a heading."""
    return re.sub(r"[^\w-]", "", path.lower())


def _default(field: Schema) -> str:
    if "default" not in field:
        return ""
    if "properties" in field:
        return "its fields'"
    return f"`{_cell(json.dumps(field['default']))}`"


def _allowed(field: Schema) -> str:
    inner = field.get("items", field)
    parts = []
    if "items" in field:
        parts.append(_span(field.get("minItems"), field.get("maxItems"), "items"))
    if "enum" in inner:
        parts.append(", ".join(f"`{value}`" for value in inner["enum"]))
    if "pattern" in inner:
        parts.append(_pattern(inner["pattern"]))
    elif inner.get("type") == "string" and "maxLength" in inner:
        parts.append(_span(inner.get("minLength"), inner["maxLength"], "characters"))
    if "minimum" in inner or "maximum" in inner:
        parts.append(_interval(inner))
    return "; ".join(part for part in parts if part)


def _span(low: int | None, high: int | None, what: str) -> str:
    if low is None and high is None:
        return ""
    return f"{low or 0} to {high} {what}" if high is not None else f"at least {low} {what}"


def _pattern(pattern: str) -> str:
    if pattern in _PATTERNS:
        return _PATTERNS[pattern]
    if DURATION.strip("^$") in pattern:
        return _QUANTITY
    choice = _CHOICE.match(pattern)
    if choice:
        names = choice.group(1).rstrip("|").split("|")
        return ", ".join(f"`{name}`" for name in names) + " or `module:callable`"
    literal = pattern.strip("^$")
    return f"`{_cell(literal)}`"


def _interval(inner: Schema) -> str:
    low, high = inner.get("minimum"), inner.get("maximum")
    parts = []
    if low is not None:
        parts.append(f"{'>' if inner.get('exclusiveMinimum') else '>='} {low}")
    if high is not None:
        parts.append(f"{'<' if inner.get('exclusiveMaximum') else '<='} {high}")
    return " and ".join(parts)


def _prose(text: str) -> str:
    """Turn a docstring into one line of Markdown."""
    return _cell(" ".join(text.replace("``", "`").split()))


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    print(reference())  # noqa: T201
