"""A notebook's window to the outside: which dataset, which options, where its results go.

Run by hand, a notebook reads the project's default dataset and only displays. Run by the
workflow, it also writes each figure and table to files, and its values for the ledger.

Vocabulary
----------
- *item key*: the name of an item (`cpmlib.book.markup`) in links, files and
  `cpmlib.book.captions`, such as ``fig-2``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
from IPython.display import HTML, Markdown, display
from matplotlib.figure import Figure

from cpmlib.book import markup
from cpmlib.book.captions import Item, item
from cpmlib.book.sheet import NARROW, Sheet, project_root
from cpmlib.figures.style import LABEL
from cpmlib.study.dataset import Dataset, read_dataset
from cpmlib.study.options import AnalysisOptions, ImageOptions
from cpmlib.study.published import read_published

DATASET = "CPMLIB_DATASET"
OPTIONS = "CPMLIB_OPTIONS"
IMAGE_OPTIONS = "CPMLIB_IMAGE_OPTIONS"
BUILD = "CPMLIB_BUILD"
PUBLISHED = "CPMLIB_PUBLISHED"
"""Environment variables that the workflow sets: dataset, both kinds of options as JSON, folder
of everything built, table of printed values."""

LABEL_AT = 0.08
"""Height of the dataset's label above a figure's lower edge, inches."""

DEFAULT_DATASET = "data/surrogate"
DEFAULT_PUBLISHED = Path("data/published-values.tsv")


def _build_of_default() -> Path:
    """Return the folder with the default dataset's images, if they are what was built last."""
    build = project_root() / "build" / "private"
    settings = build / "settings.json"
    is_default = settings.is_file() and json.loads(settings.read_text("utf-8"))["surrogate"]
    return build if is_default else build / "none"


class Page(Sheet):
    """One chapter's inputs and outputs.

    Parameters
    ----------
    name
        The notebook's file name without suffix.
    dataset
        A dataset that the page is about, by its path in the project; the one that the book is
        built from if None. Its label goes with everything that the page shows.

    Attributes
    ----------
    dataset : Dataset
    options : AnalysisOptions
    image_options : ImageOptions
    build : pathlib.Path
        Where the workflow put what it made of the dataset's images; see
        `cpmlib.book.study_images.StudyImages`. Not imported here, so that a page of statistics
        depends on no module of images.
    """

    def __init__(self, name: str, dataset: str | None = None) -> None:
        super().__init__(name)
        chosen = None if dataset else os.environ.get(DATASET)
        self.dataset: Dataset = read_dataset(
            chosen or project_root() / (dataset or DEFAULT_DATASET)
        )
        self.options = AnalysisOptions.from_mapping(json.loads(os.environ.get(OPTIONS) or "{}"))
        self.build = Path(os.environ.get(BUILD) or _build_of_default())
        chosen_images = json.loads(os.environ.get(IMAGE_OPTIONS) or "{}")
        self.image_options = ImageOptions.from_mapping(chosen_images)

    @property
    def samples(self) -> pd.DataFrame:
        """The sample table, patients' columns joined."""
        return self.dataset.samples

    def published(self) -> pd.DataFrame:
        """The table of printed values."""
        return read_published(os.environ.get(PUBLISHED) or project_root() / DEFAULT_PUBLISHED)

    def record(self, values: Mapping[str, float], **tables: pd.DataFrame) -> None:
        """Hand values to the ledger, and whole tables to ``values.json``, at full precision."""
        if self.output is None:
            return
        content = {
            "values": {key: _plain(value) for key, value in sorted(values.items())},
            "tables": {name: _records(table) for name, table in tables.items()},
        }
        self.write("values.json", json.dumps(content, indent=1, ensure_ascii=False) + "\n")

    def figure(self, key: str, figure: Figure, data: pd.DataFrame, *, more: str = "") -> None:
        """Show a figure with its number, caption and alternative text, and offer its files.

        Parameters
        ----------
        key, figure
            Its place in `cpmlib.book.captions`, and the figure. If it only says why it is empty
            (`cpmlib.figures.style.figure_absent`), that replaces caption and alternative text.
        data
            What the figure shows, offered as CSV.
        more
            What the caption says of this dataset; may hold markup.
        """
        listed = item(key)
        if self.dataset.label:
            # Below the figure, where it neither covers data nor is cut off.
            label = figure.supxlabel(self.dataset.label, fontsize=7, color=LABEL, parse_math=False)
            if figure.get_layout_engine() is None:  # which would place it by the figure's size
                label.set_y(LABEL_AT / figure.get_figheight())
        if absent := str(figure.get_label()):
            said = f"{absent[:1].upper()}{absent[1:]}."
            listed, more = Item(listed.number, said, said), ""
        caption = self._caption(listed, more)
        if self.output is None:
            display(figure)
            display(Markdown(caption))
            return
        self._save_svg(key, figure)
        figure.set_layout_engine("none")  # laid out once, for both
        figure.savefig(self._folder() / f"{key}.pdf", metadata={"CreationDate": None})
        self._write_csv(key, data)
        links = [(name, self.link(f"{key}.{end}")) for name, end in _FIGURE_FILES]
        image, wide = self.link(f"{key}.svg"), figure.get_size_inches()[0] > NARROW
        block = markup.figure_block(key, image, caption, listed.alt, links, wide=wide)
        display(Markdown(block))

    def table(
        self,
        key: str,
        shown: pd.DataFrame,
        data: pd.DataFrame | None = None,
        *,
        more: str = "",
        marks: Sequence[markup.Mark] = (),
    ) -> None:
        """Show a table with its number and caption, and offer it as CSV and LaTeX.

        Parameters
        ----------
        key, more
            As in `figure`.
        shown
            The cells as the reader sees them; without a row, the table says "none".
        data
            The same at full precision, for the CSV; ``shown`` if None.
        marks
            Anchor and links of each row, if rows have them.
        """
        caption = self._caption(item(key), more)
        shown = shown.astype(object).where(shown.notna(), "n/a").astype(str)
        shown = shown.replace({r"\bnan\b": "n/a"}, regex=True).map(markup.typeset)
        if self.output is None:
            display(Markdown(caption))
            display(shown)
            return
        self._folder().mkdir(parents=True, exist_ok=True)
        self._write_csv(key, shown if data is None else data)
        words = markup.escape_latex(markup.plain(caption))
        one_line = shown.map(lambda cell: " ".join(cell.split()))
        latex = one_line.to_latex(index=False, escape=True, caption=words, label=f"tab:{key}")
        self.write(f"{key}.tex", latex)
        links = [(name, self.link(f"{key}.{end}")) for name, end in _TABLE_FILES]
        if shown.empty:
            columns = list(shown.columns) or [""]
            shown = pd.DataFrame([["none", *[""] * (len(columns) - 1)]], columns=columns)
        display(Markdown(markup.table_block(key, shown, caption, links, marks)))

    def html(self, content: str) -> None:
        """Show a piece of HTML that the library made, such as a viewer."""
        display(HTML(content))

    def _caption(self, listed: Item, more: str) -> str:
        label = f"*{markup.escape(self.dataset.label)}.*" if self.dataset.label else ""
        said = (f"**{listed.number}.**", listed.caption, more, label)
        return " ".join(part for part in said if part)

    def _write_csv(self, key: str, data: pd.DataFrame) -> None:
        if self.dataset.label:
            data = data.assign(data_label=self.dataset.label)
        data = markup.without_formulas(data)
        self.write(f"{key}.csv", data.to_csv(index=False, lineterminator="\n"))


_FIGURE_FILES = (("data (CSV)", "csv"), ("SVG", "svg"), ("PDF", "pdf"))
_TABLE_FILES = (("data (CSV)", "csv"), ("LaTeX", "tex"))


def _plain(value: object) -> object:
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and not abs(value) < float("inf"):
        return None if value != value else ("inf" if value > 0 else "-inf")
    return None if value is None or value is pd.NA else value


def _records(table: pd.DataFrame) -> list[dict[str, object]]:
    return [{str(k): _plain(v) for k, v in row.items()} for row in table.to_dict("records")]
