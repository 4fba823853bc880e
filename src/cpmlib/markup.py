"""Text for the pages: MyST markup, with everything that came from data made harmless.

Vocabulary
----------
- *item*: a numbered figure or table, with caption, alternative text and downloads.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import pandas as pd

_SPECIAL = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~$%^:@&\"'=])")


_LATEX = {character: f"\\{character}" for character in "%&_#${}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
}


def escape(text: object) -> str:
    r"""Make a text safe to stand in a MyST page: no markup, no HTML, no directive, one line.

    Examples
    --------
    >>> print(escape("<b>{include} x</b>"))
    \<b\>\{include\} x\</b\>
    """
    return _SPECIAL.sub(r"\\\1", " ".join(str(text).split()))


def escape_latex(text: str) -> str:
    r"""Make a text safe to stand in LaTeX.

    Examples
    --------
    >>> print(escape_latex(r"50 % \input{x}"))
    50 \% \textbackslash{}input\{x\}
    """
    return "".join(_LATEX.get(character, character) for character in text)


def pipe_table(frame: pd.DataFrame) -> str:
    """Write a table of texts as a MyST table; cells are escaped.

    Examples
    --------
    >>> print(pipe_table(pd.DataFrame({"a": ["x"], "b": ["1"]})))
    | a | b |
    | --- | --- |
    | x | 1 |
    """
    lines = [_row([escape(name) for name in frame.columns]), _row(["---"] * frame.shape[1])]
    lines += [_row([escape(cell) for cell in row]) for row in frame.to_numpy()]
    return "\n".join(lines)


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def downloads(links: Sequence[tuple[str, str]]) -> str:
    """Write a line of download links.

    Parameters
    ----------
    links
        What each is called, and its path relative to the page.
    """
    return "Download: " + " · ".join(f"{{download}}`{name} <{path}>`" for name, path in links)


def figure_block(
    key: str,
    image: str,
    caption: str,
    alt: str,
    links: Sequence[tuple[str, str]],
    *,
    wide: bool = True,
) -> str:
    """Write a figure with its caption, alternative text and downloads.

    Parameters
    ----------
    key
        Its target, such as ``fig-2``.
    image
        Path relative to the page.
    caption
        Markdown, one paragraph.
    alt
        What a reader who does not see the figure should know, one line.
    links
        As `downloads` takes them.
    wide
        Whether a phone should scroll the figure rather than shrink it.
    """
    figclass = "wide-figure" if wide else "narrow-figure"
    plain = " ".join(alt.split())
    return (
        f"::::{{figure}} {image}\n:name: {key}\n:alt: {plain}\n:width: 100%\n"
        f":figclass: {figclass}\n\n"
        f"{caption}\n\n{downloads(links)}\n::::\n"
    )


def table_block(
    key: str, frame: pd.DataFrame, caption: str, links: Sequence[tuple[str, str]]
) -> str:
    """Write a table of texts with its caption and downloads; arguments as `figure_block`."""
    return (
        f"::::{{table}} {caption}\n:name: {key}\n:class: cpm-table\n\n{pipe_table(frame)}\n::::\n\n"
        f"{downloads(links)}\n"
    )
