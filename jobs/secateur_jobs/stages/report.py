"""Stage report: one self-contained HTML page and a Markdown model card."""

from __future__ import annotations

from secateur_api.results import ReportOutcome, StageOutcome
from secateur_jobs.report import card, page
from secateur_jobs.report.evidence import gather
from secateur_jobs.runtime.context import StageContext


def run(context: StageContext) -> StageOutcome:
    """Read what the job's stages left in the store and write it down for a person.

    Raises InvalidInput and MissingData as :func:`secateur_jobs.report.evidence.gather` does.
    """
    evidence = gather(context.store, context.request)
    context.progress(30, "writing the page")
    html = context.put("html", "report.html", page.render(evidence))
    context.progress(80, "writing the model card")
    text = context.put("card", "model-card.md", card.render(evidence))
    return StageOutcome(report=ReportOutcome(html=html, card=text))
