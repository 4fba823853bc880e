"""The picture of the front page: a figure of the book, made by this build.

Images of a patient tell most; a study without images has the scatter plots.
"""

from __future__ import annotations

import json
from pathlib import Path

from cpmlib.book.captions import item

MARK = "% picture\n"
"""Where the front page has it."""

CHOICE = {
    "fig-maps": "Where the numbers come from: MRI of one patient, the cellularity map, and the"
    " place of a biopsy",
    "fig-2": "What the paper asks: cells counted in biopsies against the map and against ADC",
}
"""What each figure shows, by its key, the one that is wanted most first."""


def picture(notebooks: Path) -> str:
    """Return the figure in MyST; empty if there is none.

    Parameters
    ----------
    notebooks
        Folder of the executed notebooks, which lies beside the folder of the page.
    """
    for key, said in CHOICE.items():
        alt = item(key).alt
        for image in sorted(notebooks.glob(f"*_files/{key}.svg")):
            name = image.parent.name.removesuffix("_files")
            # A figure that only says why it is empty has another alternative text.
            if f":name: {key}\n:alt: {alt}\n" in _shown(notebooks / f"{name}.ipynb"):
                return (
                    f"::::{{figure}} ../notebooks/{name}_files/{key}.svg\n:alt: {alt}\n"
                    ":width: 100%\n:figclass: wide-figure\n"
                    f":target: ../notebooks/{name}.html#{key}\n\n"
                    f"{said}. {{ref}}`{item(key).number} <{key}>` has the details.\n::::\n"
                )
    return ""


def _shown(notebook: Path) -> str:
    """Return all Markdown that a notebook's cells gave; none of one that is no more."""
    if not notebook.is_file():
        return ""
    cells = json.loads(notebook.read_text("utf-8"))["cells"]
    outputs = (output for cell in cells for output in cell.get("outputs", []))
    return "\n".join("".join(output.get("data", {}).get("text/markdown", "")) for output in outputs)
