"""What is wrong with an input, said so that its owner can correct it.

Vocabulary
----------
- *problem*: one fault at one place: file, row, column, what was found, what was expected, remedy.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

MAX_NAMED = 3
"""How many characters that may look like others a message names."""
USUAL = ("LATIN", "MICRO", "SUPERSCRIPT")
"""How the names of characters begin that need no naming, such as those of ö, µ and ²."""


@dataclass(frozen=True)
class Problem:
    """One fault in a file, by its owner's name for it; the header's row is 1.

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
        return self._message("" if self.row is None else f", row {self.row}", _shown(self.found))

    def _message(self, row: str, found: str) -> str:
        place = row if self.column is None else f"{row}, column '{clip(self.column)}'"
        expected = f"expected {self.expected}. Remedy: {self.remedy}."
        return f"{clip(self.file)}{place}: found {found}; {expected}"


class DatasetError(ValueError):
    """A dataset that cannot be analysed; the message tells every problem found, one a line.

    Problems of one column that one remedy serves share a line, with each value and its rows.
    """

    def __init__(self, problems: Problem | Sequence[Problem]) -> None:
        given = [problems] if isinstance(problems, Problem) else problems
        self.problems = list(dict.fromkeys(given))
        count = "1 problem" if len(self.problems) == 1 else f"{len(self.problems)} problems"
        lines = [f"  - {line}" for line in _lines(self.problems)]
        super().__init__("\n".join([f"{count} in the dataset; nothing was computed.", *lines]))


def fault(*place_and_text: Any, **more: Any) -> DatasetError:
    """Return the error of one `Problem`, which takes the arguments."""
    return DatasetError(Problem(*place_and_text, **more))


def in_rows(
    found: pd.Series, file: str, expected: str, remedy: str, column: str | None = None
) -> list[Problem]:
    """Return a problem for each entry of a series of what was found, by row."""
    return [
        Problem(file, str(text), expected, remedy, int(str(row)), column)
        for row, text in found.items()
    ]


@contextmanager
def collected(problems: list[Problem]) -> Iterator[None]:
    """Add the problems that a block raises to a list, so that others can be told with them.

    Examples
    --------
    >>> problems = []
    >>> with collected(problems):
    ...     raise fault("a.nii", "nothing", "an image", "add it")
    >>> len(problems)
    1
    """
    try:
        yield
    except DatasetError as error:
        problems += error.problems


@contextmanager
def told_together() -> Iterator[list[Problem]]:
    """Give a list of problems, add what the block raises, and raise all of them at its end."""
    problems: list[Problem] = []
    with collected(problems):
        yield problems
    if problems:
        raise DatasetError(problems)


def clip(text: str, longest: int = 160) -> str:
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
    return f"“{clip(text).translate({ord(mark): None for mark in '“”'})}”"


def _shown(found: str) -> str:
    strange = {c: unicodedata.name(c, "unnamed") for c in found if not c.isascii()}
    names = [f"U+{ord(c):04X} {name}" for c, name in strange.items() if not name.startswith(USUAL)]
    return clip(found) + (f" (which holds {', '.join(names[:MAX_NAMED])})" if names else "")


def _lines(problems: Sequence[Problem]) -> Iterator[str]:
    groups: dict[object, list[Problem]] = {}
    for problem in problems:
        place = (problem.file, problem.column, problem.expected, problem.remedy)
        groups.setdefault(problem if problem.row is None else place, []).append(problem)
    for first, *others in groups.values():
        if not others:
            yield str(first)
            continue
        rows: dict[str, list[int]] = {}
        for problem in (first, *others):
            rows.setdefault(problem.found, []).append(problem.row or 0)
        found = ", ".join(f"{_shown(value)} ({_rows(where)})" for value, where in rows.items())
        yield first._message("", found)


def _rows(numbers: Sequence[int]) -> str:
    """Write row numbers, those that follow each other as a range: rows 2-4, 9."""
    ordered = enumerate(sorted(numbers))
    runs = [[n for _, n in run] for _, run in groupby(ordered, lambda pair: pair[1] - pair[0])]
    shown = ", ".join(f"{run[0]}" + (f"-{run[-1]}" if run[1:] else "") for run in runs)
    return f"row{'s' if len(numbers) > 1 else ''} {shown}"
