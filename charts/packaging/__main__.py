"""``python -m charts.packaging write|check``: CRD copy, README table, kustomize base."""

from __future__ import annotations

import difflib
import sys
from pathlib import Path

from charts.packaging import kustomize
from charts.packaging.kustomize import with_table

_ROOT = Path(__file__).resolve().parents[2]
_CHART = _ROOT / "charts" / "secateur"


def rendered() -> dict[Path, str]:
    """Return files and what they should hold; without Helm the kustomize base is left out, and said so."""
    readme, values = _CHART / "README.md", _CHART / "values.yaml"
    files = {
        _CHART / "files" / "crd.yaml": (_ROOT / "crds" / "secateur.dev_pruningjobs.yaml").read_text(),
        readme: with_table(readme.read_text(), values.read_text()),
    }
    try:
        files[_ROOT / "config" / "kustomize" / "base" / "operator.yaml"] = kustomize.base(_CHART)
    except kustomize.NoHelm as error:
        print(f"kustomize base left as it is: {error}", file=sys.stderr)  # noqa: T201
    return files


def differences(files: dict[Path, str]) -> str:
    """Return what is not as it should be, as a diff; empty if all is."""
    parts: list[str] = []
    for path, text in files.items():
        there = path.read_text() if path.exists() else ""
        name = str(path.relative_to(_ROOT))
        parts += difflib.unified_diff(there.splitlines(True), text.splitlines(True), name, "from its source")
    return "".join(parts)


def main(argv: list[str]) -> int:
    """Write the files, or check them; return the exit code."""
    if argv not in (["write"], ["check"]):
        print("usage: python -m charts.packaging write|check", file=sys.stderr)  # noqa: T201
        return 2
    files = rendered()
    if argv == ["write"]:
        for path, text in files.items():
            path.write_text(text)
        return 0
    sys.stdout.write(found := differences(files))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
