"""How soon a page of the built book can be read, and how soon its moving figures answer.

    python benchmarks/bench_pages.py [VISITS]

Needs `make book` and Chromium. Pages come from a server on this machine into a browser that has
nothing in its cache and a processor made so slow that it is four times slower than one of today.
A page can be read when the largest text or picture of the first screen has been painted (largest
contentful paint; WICG): at the first paint of all the heading may stand there alone, and what runs
afterwards hinders no reader. An answer lasts from what the reader does until the page has been
drawn again, at the processor's own speed, and slower too. Writes benchmarks/results/pages.json.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tools"))
from machine import LOOP_TODAY_S, machine  # noqa: E402
from screenshots import HTML, built_pages, chromium  # noqa: E402

SLOWER = 4
"""Times that the browser's processor is slower than one of today."""

VISITS = 3
"""Of each page, unless another number is named."""

LIMITS = {"readable": 1500.0, "answer": 50.0}
"""Milliseconds."""

PAINTS = """() => new Promise(done => {
  const { domContentLoadedEventEnd: parsed } = performance.getEntriesByType("navigation")[0];
  const [first] = performance.getEntriesByName("first-contentful-paint");
  new PerformanceObserver(list => done({
    readable: list.getEntries().at(-1).startTime, first: first.startTime, parsed,
  })).observe({ type: "largest-contentful-paint", buffered: true });
})"""

ANSWERS = {
    "drag a sample": ("03_correlations", ".cpm-widget[data-kind=drag]", "plot", "keydown"),
    "mark a patient": ("03_correlations", ".cpm-widget[data-kind=linked]", "patient", "input"),
    "draw one more": ("05_non_independence", ".cpm-widget[data-kind=draws]", "one", "click"),
    "patient effect": ("05_non_independence", ".cpm-widget[data-kind=patients]", "icc", "input"),
    "shift a sphere": ("10_regions", ".cpm-widget[data-kind=sphere]", "shift", "input"),
    "turn over a slice": ("07_cases", ".cpm-viewer", "slice", "input"),
}
"""What a reader does: page, moving figure, its part, event."""

TIMED = """async ([root, name, type]) => {
  const part = document.querySelector(`${root} [data-part=${name}]`), times = [];
  for (let i = 0; i < 13; i++) {
    if (part.type === "range") i % 2 ? part.stepDown() : part.stepUp();
    if (part.tagName === "SELECT") part.selectedIndex = (i + 1) % part.options.length;
    await new Promise(done => requestAnimationFrame(() => setTimeout(done)));
    const start = performance.now();
    part.dispatchEvent(type === "keydown" ? new KeyboardEvent(type, { key: "ArrowLeft" })
      : new Event(type));
    await new Promise(done => requestAnimationFrame(() => setTimeout(done)));
    times.push(performance.now() - start);
  }
  return times.slice(1);
}"""
"""Milliseconds of a dozen answers, after the first, which loads code."""


@contextmanager
def served() -> Iterator[str]:
    """Serve the built book; give its address."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(HTML)))
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@contextmanager
def opened(browser: Browser, url: str, slower: float) -> Iterator[Page]:
    """Open a page with nothing in the cache, on a processor made so many times slower."""
    page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
    devtools = page.context.new_cdp_session(page)
    devtools.send("Network.setCacheDisabled", {"cacheDisabled": True})
    devtools.send("Emulation.setCPUThrottlingRate", {"rate": slower})
    page.goto(url, wait_until="load", timeout=180_000)  # the reference is long
    yield page
    page.context.close()


def page_times(browser: Browser, url: str, visits: int, slower: float) -> dict[str, float]:
    """Return median and worst time until a page can be read, and its other marks, ms."""
    found = []
    for _ in range(visits):
        with opened(browser, url, slower) as page:
            found.append(page.evaluate(PAINTS))
    median = {key: statistics.median(one[key] for one in found) for key in found[0]}
    return {
        "readable_ms": round(median["readable"]),
        "worst_ms": round(max(one["readable"] for one in found)),
        "first_paint_ms": round(median["first"]),
        "parsed_ms": round(median["parsed"]),
    }


def answer_times(
    browser: Browser, url: str, root: str, part: str, event: str, slowest: float
) -> dict[str, float]:
    """Return median and worst time of a moving figure's answer, and the median if slower, ms."""
    times = {}
    for slower in (1, slowest):
        with opened(browser, url, slower) as page:
            figure = page.locator(root).first
            figure.scroll_into_view_if_needed()
            if "widget" in root:
                figure.get_by_role("button", name="Make it move").click()
                page.wait_for_selector(f"{root}[data-state=ready]", timeout=60_000)
            else:
                page.wait_for_selector(f"{root}[data-ready=yes]", timeout=60_000)
            times[slower] = page.evaluate(TIMED, [root, part, event])
    return {
        "median_ms": round(statistics.median(times[1]), 1),
        "worst_ms": round(max(times[1]), 1),
        "slower_ms": round(statistics.median(times[slowest]), 1),
    }


def main(visits: int) -> None:
    """Measure, print and write."""
    here = machine()
    slower = max(1.001, SLOWER * LOOP_TODAY_S / float(str(here["loop_s"])))
    with served() as site, sync_playwright() as playwright:
        browser = chromium(playwright)
        pages = {}
        for path in built_pages():
            name = path.relative_to(HTML).as_posix()
            pages[name] = page_times(browser, f"{site}/{name}", visits, slower)
            print(name, pages[name], flush=True)
        answers = {}
        for what, (name, *action) in ANSWERS.items():
            url = f"{site}/notebooks/{name}.html"
            answers[what] = answer_times(browser, url, *action, slower)
            print(what, answers[what], flush=True)
        version = browser.version
        browser.close()
    result = {
        "machine": here | {"chromium": version, "slower": round(slower, 2)},
        "visits": visits,
        "limits_ms": LIMITS,
        "pages": pages,
        "answers": answers,
    }
    target = ROOT / "benchmarks" / "results" / "pages.json"
    target.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else VISITS)
