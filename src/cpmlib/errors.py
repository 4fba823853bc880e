"""What is wrong with an input, said so that its owner can mend it.

Vocabulary
----------
- *problem*: one fault at one place: file, row, column, what was found, what was expected, remedy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One fault in an input file.

    Parameters
    ----------
    file
        The file's name as its owner knows it.
    found, expected, remedy
        What stands there, what should, and what to do.
    row
        Line number in the file (the header is line 1), or None if the fault is not on one line.
    column
        Column name, or None.

    Examples
    --------
    >>> print(Problem("samples.tsv", "-5", "a density above 0", "correct it", 4, "cpm"))
    samples.tsv, row 4, column 'cpm': found -5; expected a density above 0. Remedy: correct it.
    """

    file: str
    found: str
    expected: str
    remedy: str
    row: int | None = None
    column: str | None = None

    def __str__(self) -> str:
        place = _clip(self.file)
        if self.row is not None:
            place += f", row {self.row}"
        if self.column is not None:
            place += f", column '{_clip(self.column)}'"
        return (
            f"{place}: found {_clip(self.found)}; expected {self.expected}. Remedy: {self.remedy}."
        )


def _clip(text: str, longest: int = 160) -> str:
    """Make a text of unknown origin fit to stand in a message: printable and not too long."""
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return shown if len(shown) <= longest else f"{shown[:longest]}..."


def own_words(text: str) -> str:
    """Quote a name that a study's owner chose, for a note; pages leave out what stands in quotes.

    Examples
    --------
    >>> own_words("Core of Hans")
    '“Core of Hans”'
    """
    return f"“{_clip(text).translate({ord(mark): None for mark in '“”'})}”"


class DatasetError(ValueError):
    """A dataset that cannot be analysed, with every problem that was found in it.

    Parameters
    ----------
    problems
        One or more problems; the message lists them one a line.
    """

    SHOWN = 25

    def __init__(self, problems: Problem | Sequence[Problem]) -> None:
        self.problems = [problems] if isinstance(problems, Problem) else list(problems)
        count = len(self.problems)
        lines = [str(problem) for problem in self.problems[: self.SHOWN]]
        if count > self.SHOWN:
            lines.append(f"... and {count - self.SHOWN} more")
        head = f"{count} problem{'s' if count != 1 else ''} in the dataset; nothing was computed."
        super().__init__("\n".join([head, *(f"  - {line}" for line in lines)]))
