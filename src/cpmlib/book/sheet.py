"""What every notebook of the book has, whatever it is about: a place for its files, and numbers.

A lesson needs no more: its data are made up, so that it has no dataset and is not executed again
when one changes. A chapter's `cpmlib.book.page.Page` adds the dataset that the book is built from.
"""

from __future__ import annotations

import io
import os
from pathlib import Path

import matplotlib as mpl
from IPython.display import Markdown, display
from matplotlib.figure import Figure

from cpmlib.book import markup
from cpmlib.book.svg import lighter_svg

OUTPUT = "CPMLIB_OUTPUT"
"""Environment variable that the workflow sets: the folder of results."""

NARROW = 5.0
"""Widest figure, in inches, that a phone can show whole."""


def project_root() -> Path:
    """Return the project's folder: the nearest one above that holds ``_config.yml`` and ``data``.

    Raises
    ------
    FileNotFoundError
        If there is none.
    """
    here = Path.cwd().resolve()
    for folder in (here, *here.parents):
        if (folder / "_config.yml").is_file() and (folder / "data").is_dir():
            return folder
    raise FileNotFoundError(
        f"no project folder at or above {here}; start the notebook inside the project"
    )


class Sheet:
    """One notebook and its results.

    Parameters
    ----------
    name
        The notebook's file name without suffix.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        output = os.environ.get(OUTPUT)
        self.output = Path(output) if output else None

    def glue(self, **numbers: object) -> None:
        """Make numbers available to the text as ``{glue:text}``; NaN reads "not estimable"."""
        from myst_nb import glue

        for key, value in numbers.items():
            plain = value.item() if hasattr(value, "item") else value
            glue(key, plain, display=False)

    def link(self, name: str) -> str:
        """Return the place of one of the notebook's files, from its page."""
        return f"{self.name}_files/{name}"

    def write(self, name: str, text: str) -> None:
        """Write one of the notebook's files, where the workflow runs it."""
        self._folder().mkdir(parents=True, exist_ok=True)
        (self._folder() / name).write_text(text, encoding="utf-8", newline="\n")

    def _save_svg(self, key: str, figure: Figure) -> None:
        """Write a figure; equal figures are equal files: no time in them, no random names."""
        buffer = io.StringIO()
        with mpl.rc_context({"svg.hashsalt": key}):
            figure.savefig(buffer, format="svg", metadata={"Date": None})
        self.write(f"{key}.svg", lighter_svg(buffer.getvalue()))

    def _folder(self) -> Path:
        assert self.output is not None
        return self.output / f"{self.name}_files"


class Lesson(Sheet):
    """One lesson of the course."""

    def picture(self, key: str, figure: Figure, caption: str, alt: str) -> None:
        """Show a figure with a caption (Markdown, one paragraph) and its alternative text.

        It has no number, since no other page speaks of it. The key, such as ``adc-signals``, is
        its target in links.
        """
        if self.output is None:
            display(figure)
            display(Markdown(caption))
            return
        self._save_svg(key, figure)
        wide = figure.get_size_inches()[0] > NARROW
        display(Markdown(markup.figure(key, self.link(f"{key}.svg"), caption, alt, wide=wide)))
