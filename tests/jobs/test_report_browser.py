"""The page in a real browser: fits a phone and a desktop, loads nothing, readable in both colour schemes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from secateur_jobs.report import page
from secateur_jobs.report.evidence import gather
from secateur_jobs.runtime.store import Store
from tests.jobs.devtools import Tab, browser_tab, find_browser
from tests.report_job import SampleJob

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(find_browser() is None, reason="no Chromium is installed (apt-get install chromium)"),
]

_LONG = "backbone.stage4.residual_block_with_a_long_name.0.squeeze_excitation.conv_reduce"
JOBS = {
    "success": SampleJob(),
    "failure": SampleJob(holds=False, groups=[f"layer{i}.conv" for i in range(40)]),
    "bare": SampleJob(sensitivity=False, benchmarks=(), targets=("onnx",), rounds=(True,), judged=False),
    "hostile": SampleJob(
        name='<script>document.title="owned"</script>',
        groups=[_LONG, '"><img src=x onerror=alert(1)>', "x" * 200],
        refused={_LONG: "its output is used twice", "y" * 200: "z" * 300},
    ),
}

# WCAG 2.2, 1.4.3: the contrast ratio of each text to the page's background
_LEAST_CONTRAST = """
(() => {
  const channel = c => { c /= 255; return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; };
  const light = css => {
    const [r, g, b] = css.match(/[\\d.]+/g).map(Number);
    return 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  };
  const ground = node => {
    for (; node; node = node.parentElement) {
      const css = getComputedStyle(node).backgroundColor;
      if (css !== 'rgba(0, 0, 0, 0)') return css;
    }
    return 'rgb(255, 255, 255)';
  };
  let least = 21;
  for (const node of document.querySelectorAll('main *')) {
    const own = [...node.childNodes].some(n => n.nodeType === 3 && n.data.trim());
    if (!own || node.tagName === 'title') continue;
    const style = getComputedStyle(node);
    const ink = light(node instanceof SVGElement ? style.fill : style.color);
    const paper = light(ground(node));
    least = Math.min(least, (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05));
  }
  return least;
})()
"""
_WIDER_THAN_THE_PAGE = """
[...document.querySelectorAll('main *')].filter(node =>
  !node.closest('.scroll, pre, svg') && node.getBoundingClientRect().right > innerWidth + 1
).map(node => node.tagName + '.' + node.className)
"""


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    program = find_browser()
    assert program is not None
    with browser_tab(program, tmp_path_factory.mktemp("browser") / "profile") as found:
        yield found


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    urls = {}
    for name, job in JOBS.items():
        folder = tmp_path_factory.mktemp(name)
        store = Store((folder / "store").as_uri())
        file = folder / "report.html"
        file.write_bytes(page.render(gather(store, job.write(store))))
        urls[name] = file.as_uri()
    return urls


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("name", list(JOBS))
def test_page_fits_loads_nothing_and_is_readable(
    name: str, width: int, scheme: str, tab: Tab, pages: dict[str, str]
) -> None:
    tab.open(pages[name], width, scheme)
    tab.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")

    assert tab.evaluate("innerWidth") == width
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    assert tab.evaluate(_WIDER_THAN_THE_PAGE) == []
    assert tab.evaluate(_LEAST_CONTRAST) >= 4.5

    requests = [event["request"]["url"] for event in tab.named("Network.requestWillBeSent")]
    assert [url for url in requests if not url.startswith("data:")] == [pages[name]]
    assert tab.named("Runtime.exceptionThrown") == []
    assert tab.named("Runtime.consoleAPICalled") == []
    assert tab.named("Log.entryAdded") == []


@pytest.mark.parametrize(
    ("name", "words"), [("success", "Succeeded"), ("failure", "Failed"), ("bare", "Not judged")]
)
def test_verdict_is_the_first_thing_to_see(name: str, words: str, tab: Tab, pages: dict[str, str]) -> None:
    tab.open(pages[name], 390, "light")
    assert tab.evaluate("document.getElementById('verdict').innerText") == words
    assert tab.evaluate("document.title") == f"digits-resnet: {words} (Secateur report)"
    assert tab.evaluate("document.getElementById('verdict').getBoundingClientRect().bottom") < 300


def test_a_long_group_name_is_shown_whole(tab: Tab, pages: dict[str, str]) -> None:
    tab.open(pages["success"], 1280, "light")
    name = "'backbone.stage4.block_12._pointwise_conv.0'"
    tab.evaluate(f"label = document.querySelector('.multiples code'); label.textContent = {name}")
    assert tab.evaluate("label.scrollWidth <= label.clientWidth && label.clientHeight > 20")


def test_a_hostile_job_name_is_shown_and_not_run(tab: Tab, pages: dict[str, str]) -> None:
    tab.open(pages["hostile"], 1280, "light")
    assert tab.evaluate("document.title").startswith('<script>document.title="owned"')
    assert tab.evaluate("document.scripts.length + document.images.length") == 0


def test_colours_follow_the_reader(tab: Tab, pages: dict[str, str]) -> None:
    grounds = []
    for scheme in ("light", "dark"):
        tab.open(pages["success"], 1280, scheme)
        grounds.append(tab.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert grounds == ["rgb(251, 250, 246)", "rgb(19, 22, 20)"]
