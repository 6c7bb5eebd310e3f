"""The data plane's ``inspect`` command, run as a child process of this one."""

from __future__ import annotations

import os
import re
import subprocess

from secateur_api.inspection import LINE_PREFIX, Inspection, InspectionAnswer, InspectionRequest
from secateur_operator.gateway.local.runner import STAGE_COMMAND

_SAID = {
    "spec.model.exported.uri": "MODEL",
    "spec.model.exported": "MODEL",
    "spec.model.factory": "MODEL",
    "spec.model.args": "--arg",
    "spec.model.inputs": "--input",
    "spec.model": "MODEL",
    "spec.data.images.labels.uri": "--labels",
    "spec.data.images.labels": "--labels",
    "spec.data.images.uri": "--images",
    "spec.data.images": "--images",
    "spec.data.arrays.uri": "--arrays",
    "spec.data.arrays": "--arrays",
    "spec.data.lines.vocabulary.uri": "--vocabulary",
    "spec.data.lines.vocabulary": "--vocabulary",
    "spec.data.lines.uri": "--lines",
    "spec.data.lines": "--lines",
    "spec.evaluation.form": "--form",
    "spec.code.uri": "--code",
    "spec.code.sha256": "--code",
}
"""The data plane names fields of a PruningJob; these words of the command line stand for them."""
_FIELD = re.compile("|".join(re.escape(field) + r"\b" for field in _SAID))


class NotInspected(Exception):
    """The model cannot be looked at; the message says why in one sentence."""


def ask(request: InspectionRequest) -> Inspection:
    """Return what is found in a model. Raises NotInspected."""
    ended = subprocess.run(
        [*STAGE_COMMAND, "inspect"],
        input=request.model_dump_json(by_alias=True),
        env={**os.environ, "PYTHONSAFEPATH": "1"},  # user code comes from --code only
        capture_output=True,
        text=True,
        check=False,
    )
    lines = [line for line in ended.stdout.splitlines() if line.startswith(LINE_PREFIX)]
    answer = (
        InspectionAnswer.model_validate_json(lines[-1].removeprefix(LINE_PREFIX))
        if lines
        else InspectionAnswer()
    )
    if answer.found is None:
        said = ended.stderr.strip().splitlines()
        why = answer.failed or (said[-1] if said else f"it ended with exit code {ended.returncode}")
        raise NotInspected(_FIELD.sub(lambda found: _SAID[found[0]], why))
    return answer.found
