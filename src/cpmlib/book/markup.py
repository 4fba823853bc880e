"""Text for the pages: MyST markup, with everything that came from data made harmless.

Vocabulary
----------
- *item*: a numbered figure or table, with caption, alternative text and downloads.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd
from markdown_it import MarkdownIt

_SPECIAL = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~$%^:@&\"'=])")

_FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠")
"""How a text begins that a spreadsheet computes; the wide signs are the same to some."""

_LATEX = {character: f"\\{character}" for character in "%&_#${}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
}


_PAGES = (
    (r"\b([mcµu]?m)2\b", lambda found: found[1].replace("u", "µ") + "²"),
    (r"\b1e(-?)(\d)\b", lambda found: f"10{found[1] and '⁻'}{'⁰¹²³⁴⁵⁶⁷⁸⁹'[int(found[2])]}"),
    (r"\bfig(\d+[a-z]?)\b", r"Fig. \1"),
    (r"\btreatment-naive\b", "treatment-naïve"),
)
"""What files and messages write in ASCII, and how pages do."""


def typeset(text: str) -> str:
    """Write units and words of files and messages as pages do.

    Examples
    --------
    >>> typeset("fig3a: ADC 900, 1e-6 mm2/s, treatment-naive")
    'Fig. 3a: ADC 900, 10⁻⁶ mm²/s, treatment-naïve'
    """
    for pattern, replacement in _PAGES:
        text = re.sub(pattern, replacement, text)
    return text


def escape(text: object) -> str:
    r"""Make a text safe to stand in a MyST page: no markup, no HTML, no directive, one line.

    Examples
    --------
    >>> print(escape("<b>{include} x</b>"))
    \<b\>\{include\} x\</b\>
    """
    return _SPECIAL.sub(r"\\\1", " ".join(str(text).split()))


def safe_json(data: object) -> str:
    r"""Write JSON that no text in it can end early: ``<``, ``>`` and ``&`` become ``\u003c`` ...

    Examples
    --------
    >>> safe_json({"name": "</script>"})
    '{"name":"\\u003c/script\\u003e"}'
    """
    text = json.dumps(data, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def escape_latex(text: str) -> str:
    r"""Make a text safe to stand in LaTeX.

    Examples
    --------
    >>> print(escape_latex(r"50 % \input{x}"))
    50 \% \textbackslash{}input\{x\}
    """
    return "".join(_LATEX.get(character, character) for character in text)


def plain(caption: str) -> str:
    r"""Return the words of a caption without its markup, for files that are not pages.

    Examples
    --------
    >>> print(plain(r"**Fig. 2.** See `cpm` in [the table](02.ipynb), 1\_2."))
    Fig. 2. See cpm in the table, 1_2.
    """
    inline = MarkdownIt().parseInline(" ".join(caption.split()))[0].children or []
    return "".join(token.content for token in inline)


def without_formulas(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a table whose texts no spreadsheet takes for a formula; numbers stay numbers.

    A text that begins like a formula gets an apostrophe before it, as a spreadsheet writes it.

    Examples
    --------
    >>> without_formulas(pd.DataFrame({"x": [-1.5], "text": ["=1+1"], "number": ["-2"]}))
         x   text number
    0 -1.5  '=1+1     -2
    """
    harmless = frame.rename(columns=_not_a_formula)
    for place in range(frame.shape[1]):
        column = frame.iloc[:, place]
        if not pd.api.types.is_numeric_dtype(column):
            harmless.isetitem(place, column.map(_not_a_formula).tolist())
    return harmless


def _not_a_formula(cell: object) -> object:
    if not isinstance(cell, str):
        return cell
    text = " ".join(cell.split())
    try:
        float(text)
    except ValueError:
        return f"'{text}" if text.startswith(_FORMULA) else text
    return text


class Mark(NamedTuple):
    """What a row of a table has besides its cells: an anchor, and a line of MyST markup."""

    anchor: str
    links: str


def anchor_of(id: str) -> str:
    """Return the anchor of a printed value, in the characters that Sphinx keeps.

    Examples
    --------
    >>> anchor_of("corr.naive.cpm.rho_p")
    'value-corr-naive-cpm-rho-p'
    """
    return "value-" + re.sub(r"[^a-z0-9]+", "-", id.lower())


def pipe_table(frame: pd.DataFrame, marks: Sequence[Mark] = ()) -> str:
    """Write a table of texts as a MyST table; cells are escaped.

    A mark for each row, if any, makes its first cell the target of the anchor, over the links.

    Examples
    --------
    >>> print(pipe_table(pd.DataFrame({"a": ["x"], "b": ["1"]})))
    | a | b |
    | --- | --- |
    | x | 1 |
    """
    header, *rows = [[escape(cell) for cell in row] for row in [frame.columns, *frame.to_numpy()]]
    for row, mark in zip(rows, marks, strict=bool(marks)):
        row[0] = f"[{row[0]}]{{#{mark.anchor}}}<br>{mark.links}"
    rows = [header, ["---"] * frame.shape[1], *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


def downloads(key: str, links: Sequence[tuple[str, str]]) -> str:
    """Write where an item is from: its cell, and its files (name, path relative to the page).

    The build adds the version of the code.
    """
    files = " · ".join(f"{{download}}`{name} <{path}>`" for name, path in links)
    return f"Made by {{ref}}`this cell <cell-{key}>` · {files}"


def figure_block(
    key: str,
    image: str,
    caption: str,
    alt: str,
    links: Sequence[tuple[str, str]],
    *,
    wide: bool = True,
) -> str:
    """Write a numbered figure: `figure` with its downloads (name, path) below the caption."""
    return figure(key, image, f"{caption}\n\n{downloads(key, links)}", alt, wide=wide)


def figure(key: str, image: str, caption: str, alt: str, *, wide: bool = True) -> str:
    """Write a figure with its caption (Markdown) and alternative text.

    The key is its target, such as ``fig-2``; the image's path is relative to the page. A phone
    scrolls a wide figure rather than shrink it.
    """
    return (
        f"::::{{figure}} {image}\n:name: {key}\n:alt: {' '.join(alt.split())}\n:width: 100%\n"
        f":figclass: {'wide' if wide else 'narrow'}-figure\n\n"
        f"{caption}\n::::\n"
    )


def table_block(
    key: str,
    frame: pd.DataFrame,
    caption: str,
    links: Sequence[tuple[str, str]],
    marks: Sequence[Mark] = (),
) -> str:
    """Write a table of texts with its caption and downloads; arguments as `figure_block`."""
    kind = "cpm-table ledger" if marks else "cpm-table"
    return (
        f"::::{{table}} {caption}\n:name: {key}\n:class: {kind}\n\n"
        f"{pipe_table(frame, marks)}\n::::\n\n"
        f"{downloads(key, links)}\n"
    )
