"""Take pictures of every built page, as a reader on a desk and on a phone sees them.

    python tools/screenshots.py FOLDER [PAGE ...]

Needs Chromium; CHROMIUM names the program if it is not /usr/bin/chromium.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from playwright.sync_api import Browser, Playwright, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
HTML = ROOT / "build" / "html"
VIEWS = {"desktop": (1280, 900, "light"), "dark": (1280, 900, "dark"), "phone": (390, 844, "light")}


def chromium(playwright: Playwright) -> Browser:
    """Start Chromium without a window; without hinting, letters are as wide on every machine."""
    return playwright.chromium.launch(
        executable_path=os.environ.get("CHROMIUM", "/usr/bin/chromium"),
        args=["--no-sandbox", "--disable-gpu", "--font-render-hinting=none"],
    )


def built_pages() -> list[Path]:
    """Return the pages of the built book that have been written, not generated."""
    return sorted([*HTML.glob("book/*.html"), *HTML.glob("notebooks/*.html")])


def main(folder: str, *pages: str) -> None:
    """Write FOLDER/VIEW-PAGE.png for each view and page."""
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    wanted = [HTML / page for page in pages] or built_pages()
    with sync_playwright() as playwright:
        browser = chromium(playwright)
        for view, (width, height, scheme) in VIEWS.items():
            context = browser.new_context(
                viewport={"width": width, "height": height}, color_scheme=scheme
            )
            page = context.new_page()
            for path in wanted:
                page.goto(path.as_uri())
                page.screenshot(path=target / f"{view}-{path.stem}.png", full_page=True)
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
