"""The documentation: every reason and exit code is explained, links lead somewhere, its jobs are valid."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from secateur_api import ExitCode, parse_job
from secateur_api.conditions import Reason
from secateur_api.spec import BUILT_IN_CRITERIA, Metric, PruningJobSpec
from secateur_api.stage import Stage

_ROOT = Path(__file__).parents[3]
_GUIDE = (_ROOT / "docs" / "guide.md").read_text()
_CLUSTER = (_ROOT / "docs" / "cluster.md").read_text()
_TROUBLESHOOTING = (_ROOT / "docs" / "troubleshooting.md").read_text()
_PAGES = [_ROOT / "CONTRIBUTING.md", _ROOT / "README.md", *sorted((_ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_is_explained(reason: Reason) -> None:
    assert f"`{reason.value}`" in _TROUBLESHOOTING


@pytest.mark.parametrize("code", list(ExitCode))
def test_every_exit_code_is_explained(code: ExitCode) -> None:
    assert re.search(rf"^\| {code.value} \|", _TROUBLESHOOTING, re.M)


def test_every_field_metric_criterion_and_stage_is_explained() -> None:
    concepts = (_ROOT / "docs" / "concepts.md").read_text()
    fields = [field.alias or name for name, field in PruningJobSpec.model_fields.items()]
    names = [*(m.value for m in Metric), *BUILT_IN_CRITERIA, *fields]
    unknown = [name for name in names if not re.search(rf"`(\w+\.)*{name}\b", _GUIDE + _CLUSTER)]
    assert unknown == []
    assert [stage.value for stage in Stage if f"`{stage.value}`" not in concepts] == []


def test_the_jobs_of_the_guide_are_valid() -> None:
    (job,) = [parse_job(block) for block in _yaml_blocks(_GUIDE) if "kind" in block]
    for part in _yaml_blocks(_GUIDE) + _yaml_blocks(_CLUSTER):
        if "kind" not in part:
            wire = job.spec.to_wire() | {"constraints": []} | part
            PruningJobSpec.model_validate(wire)


def _yaml_blocks(page: str) -> list[dict[str, Any]]:
    return [yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", page, re.S)]


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text())
    missing = [t for t in targets if not (page.parent / t).exists()]
    # the figures come last
    assert missing == []
