"""What the kubelet makes of a container's variables; the rules are in the API reference of EnvVar."""

from __future__ import annotations

import re

_PART = re.compile(r"\$(\$|\(([^)]*)\))")


def environment(variables: list[dict[str, str]]) -> dict[str, str]:
    """Return the variables as the process sees them.

    ``$(NAME)`` becomes the value of a variable that stands before; where there is none it stays as it is.
    ``$$`` becomes ``$``.
    """
    seen: dict[str, str] = {}

    def expanded(part: re.Match[str]) -> str:
        return "$" if part[1] == "$" else seen.get(part[2], part[0])

    for variable in variables:
        seen[variable["name"]] = _PART.sub(expanded, variable["value"])
    return seen
