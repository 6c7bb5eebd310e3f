"""The documentation: every reason and exit code is explained, links lead somewhere, its jobs are valid."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from secateur_api import ExitCode, parse_job
from secateur_api.conditions import Reason
from secateur_api.spec import BUILT_IN_CRITERIA, Metric, PruningJobSpec
from secateur_api.stage import Stage

_ROOT = Path(__file__).parents[3]
_GUIDE = (_ROOT / "docs" / "guide.md").read_text()
_PAGES = [_ROOT / "CONTRIBUTING.md", _ROOT / "README.md", *sorted((_ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_is_explained(reason: Reason) -> None:
    assert f"`{reason.value}`" in _GUIDE


@pytest.mark.parametrize("code", list(ExitCode))
def test_every_exit_code_is_explained(code: ExitCode) -> None:
    assert re.search(rf"^\| {code.value} \|", _GUIDE, re.M)


def test_every_field_metric_criterion_and_stage_is_explained() -> None:
    concepts = (_ROOT / "docs" / "concepts.md").read_text()
    fields = [field.alias or name for name, field in PruningJobSpec.model_fields.items()]
    names = [*(m.value for m in Metric), *BUILT_IN_CRITERIA, *(f for f in fields if f != "image")]
    assert [name for name in names if name not in _GUIDE] == []
    assert [stage.value for stage in Stage if f"`{stage.value}`" not in concepts] == []


def test_the_jobs_of_the_guide_are_valid() -> None:
    blocks = [yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", _GUIDE, re.S)]
    (job,) = [parse_job(block) for block in blocks if "kind" in block]
    for part in (block for block in blocks if "kind" not in block):
        wire = job.spec.to_wire() | {"constraints": []} | part
        PruningJobSpec.model_validate(wire)


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text())
    missing = [t for t in targets if not (page.parent / t).exists()]
    # the figures come last
    assert missing == []
