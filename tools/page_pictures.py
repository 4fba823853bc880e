"""Small pictures of the built pages, and where one differs from that which was last accepted.

    python tools/page_pictures.py [PAGE ...]

accepts the present pictures of all pages, or of those named (`notebooks/01_cohort.html`). A page is
taken on a light desk and on a dark phone, so that each width and each theme is seen once. Of a page
that differs, both pictures and their difference stand below build/screenshots/changed.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
from PIL import Image
from playwright.sync_api import Browser, sync_playwright
from scipy import ndimage

from screenshots import HTML, ROOT, built_pages, chromium

ACCEPTED = ROOT / "tests" / "book" / "pictures"
CHANGED = ROOT / "build" / "screenshots" / "changed"
VIEWS = {"desk": (1440, 900, "light"), "phone": (375, 740, "dark")}
SCALE = 0.25
"""Pixels of a screenshot for one of the page; the longest page then fits into Chromium's canvas."""

PIXEL = 16
"""Pixels of the page, along a side, that one pixel of an accepted picture stands for."""

GREYS = 16
"""Of an accepted picture, so that all of them together stay below two megabytes."""

BAND = 16
"""Rows that are compared at once: 256 pixels of the page."""

SLACK = 2
"""Rows by which a band may lie lower or higher than the one above it: a line more or less."""

PATCH = 4
"""Pixels along a side of the part that is judged: 64 of the page."""

TOLERANCE = 15.0
"""Mean difference of a patch, of 255 greys, from which a page counts as changed.

Twice that of a page taken again on one machine: 7 to 8, nearly all from the few greys. The least
of the planted changes, a column less in a wide table of small print, makes 19; a figure less, 48.
Letters of another Chromium make 14 to 23 where they are hinted, and so as wide as whole pixels,
which `screenshots.chromium` turns off.
"""

FONTS = Path(mpl.get_data_path()) / "fonts" / "ttf"
STYLE = f"""
@font-face {{ font-family: Fixed; src: url({(FONTS / "DejaVuSans.ttf").as_uri()}); }}
* {{
  transition: none !important; animation: none !important; content-visibility: visible !important;
}}
body :not([class*=fa-], code, code *, pre, pre *, mjx-container *, svg *) {{
  font-family: Fixed !important;
}}
"""
"""The same font on every machine: that of the locked matplotlib breaks lines at the same words."""

WITHOUT_WHAT_CHANGES_BY_NATURE = """() => {
  // Some of the many equally made entries of the reference are enough.
  const alike = [...document.querySelectorAll("article dl.py, article .indextable")];
  for (const entry of alike.slice(20)) entry.remove();
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const text = texts.currentNode;
    text.data = text.data
      .replace(/code version .*/, "code version")
      .replace(/(commit \\w+ of|no commit known|Python \\d).*/, "");
  }
}"""

READY = """async () => {
  scrollTo(0, 0);
  for (const bar of document.querySelectorAll(".bd-sidebar")) bar.scrollTop = 0;
  await document.fonts.ready;
  await window.MathJax?.startup?.promise;
  await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
}"""

SET_THEME = """theme => {
  for (const key of ["theme", "mode"]) document.documentElement.dataset[key] = theme;
}"""

HEADINGS = """() => [...document.querySelectorAll("h1, h2, h3, caption, figcaption")].map(
  e => [e.getBoundingClientRect().top + scrollY, e.innerText.replace("#", "").slice(0, 60)])"""


class Picture(NamedTuple):
    """A page as it looks: grey values (row, column), and the tops of what has a name in pixels."""

    greys: np.ndarray
    names: list[tuple[float, str]]


def take(browser: Browser, path: Path, spoil: str = "0") -> dict[str, Picture]:
    """Return the picture of a built page in each view, after a script that spoils it if given."""
    page = browser.new_page(device_scale_factor=SCALE)
    page.goto(path.as_uri())
    page.evaluate(spoil)
    page.evaluate(WITHOUT_WHAT_CHANGES_BY_NATURE)
    page.add_style_tag(content=STYLE)
    pictures = {}
    for view, (width, height, theme) in VIEWS.items():
        page.set_viewport_size({"width": width, "height": height})
        page.evaluate(SET_THEME, theme)
        for viewer in page.locator(".cpm-viewer").all():
            viewer.scroll_into_view_if_needed()
            page.wait_for_function(
                "root => root.dataset.ready === 'yes'", arg=viewer.element_handle()
            )
        page.evaluate(READY)
        shot = Image.open(io.BytesIO(page.screenshot(full_page=True))).convert("L")
        greys = np.asarray(shot.reduce(round(PIXEL * SCALE)), dtype=float)
        pictures[view] = Picture(greys, page.evaluate(HEADINGS))
    page.close()
    return pictures


def compare(new: np.ndarray, old: np.ndarray) -> np.ndarray:
    """Return how far each patch of an accepted picture is from the new one, in greys.

    Band after band of the accepted picture is sought in the new one, a little higher or lower than
    the band before it lay, so that a line of text more changes its own band, not all that follow.
    """
    padded = np.pad(new, ((BAND, BAND + len(old)), (0, 0)), mode="edge")
    bands, drift = [], 0
    for top in range(0, len(old), BAND):
        band = old[top : top + BAND]
        found = {}
        for shift in range(drift - SLACK, drift + SLACK + 1):
            start = max(BAND + top + shift, 0)
            away = np.abs(padded[start : start + len(band)] - band)
            found[shift] = ndimage.uniform_filter(away, PATCH)
        drift = min(found, key=lambda shift: found[shift].mean())
        bands.append(found[drift])
    return np.concatenate(bands)


def accepted(path: Path, view: str) -> np.ndarray:
    """Read the accepted picture of a page."""
    return np.asarray(Image.open(_file(ACCEPTED, path, view)).convert("L"), dtype=float)


def changes(path: Path, view: str, picture: Picture) -> str:
    """Say where a page differs most from what was accepted, and keep both; empty if it does not."""
    if not _file(ACCEPTED, path, view).is_file():
        return f"{path.name} ({view}): no picture was accepted yet"
    old = accepted(path, view)
    away = compare(picture.greys, old)
    if away.max() < TOLERANCE:
        return ""
    row, column = np.unravel_index(away.argmax(), away.shape)
    above = [name for top, name in picture.names if top <= (row + PATCH) * PIXEL]
    CHANGED.mkdir(parents=True, exist_ok=True)
    shown = {"new": picture.greys, "accepted": old, "difference": np.clip(4 * away, 0, 255)}
    for what, greys in shown.items():
        image = Image.fromarray(greys.astype(np.uint8))
        image.resize([4 * side for side in image.size]).save(_file(CHANGED, path, f"{view}-{what}"))
    return (
        f"{path.name} ({view}): {away.max():.0f} of 255 greys at x = {column * PIXEL}, "
        f"y = {row * PIXEL}, below {above[-1]!r}"
    )


def _file(folder: Path, path: Path, what: str) -> Path:
    return folder / f"{path.stem}-{what}.png"


def main(*wanted: str) -> None:
    """Accept the pictures of pages as they are; one that has not changed keeps its file."""
    ACCEPTED.mkdir(exist_ok=True)
    pages = [HTML / page for page in wanted] or built_pages()
    with sync_playwright() as playwright:
        browser = chromium(playwright)
        for path in pages:
            for view, picture in take(browser, path).items():
                if said := changes(path, view, picture):
                    print(said)
                    step = 255 / (GREYS - 1)
                    greys = np.round(np.round(picture.greys / step) * step).astype(np.uint8)
                    Image.fromarray(greys).save(_file(ACCEPTED, path, view), optimize=True)
        browser.close()
    if not wanted:
        names = {_file(ACCEPTED, path, view) for path in pages for view in VIEWS}
        for file in set(ACCEPTED.glob("*.png")) - names:
            file.unlink()


if __name__ == "__main__":
    main(*sys.argv[1:])
