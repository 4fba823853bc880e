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
        row = "" if self.row is None else f", row {self.row}"
        return self._message(row, _shown(self.found))

    def _message(self, row: str, found: str) -> str:
        column = "" if self.column is None else f", column '{clip(self.column)}'"
        place = f"{clip(self.file)}{row}{column}"
        return f"{place}: found {found}; expected {self.expected}. Remedy: {self.remedy}."


class DatasetError(ValueError):
    """A dataset that cannot be analysed, with every problem that was found in it.

    The message tells all problems, one a line; those of one column that one remedy serves share a
    line, with each value and its rows.
    """

    def __init__(self, problems: Problem | Sequence[Problem]) -> None:
        given = [problems] if isinstance(problems, Problem) else problems
        self.problems = list(dict.fromkeys(given))
        count = len(self.problems)
        head = f"{count} problem{'s' if count != 1 else ''} in the dataset; nothing was computed."
        super().__init__("\n".join([head, *(f"  - {line}" for line in _lines(self.problems))]))


def fault(
    file: str,
    found: str,
    expected: str,
    remedy: str,
    row: int | None = None,
    column: str | None = None,
) -> DatasetError:
    """Return the error of one problem."""
    return DatasetError(Problem(file, found, expected, remedy, row, column))


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
    """Give a list of problems, add what the block raises, and raise all of them at its end.

    Examples
    --------
    >>> with told_together() as problems:
    ...     problems.append(Problem("a.nii", "nothing", "an image", "add it"))
    Traceback (most recent call last):
        ...
    cpmlib.study.errors.DatasetError: 1 problem in the dataset; nothing was computed.
      - a.nii: found nothing; expected an image. Remedy: add it.
    """
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
    """Show what was found; characters that only look like others are named."""
    strange = {c: unicodedata.name(c, "unnamed") for c in found if not c.isascii()}
    names = [f"U+{ord(c):04X} {name}" for c, name in strange.items() if not name.startswith(USUAL)]
    return clip(found) + (f" (which holds {', '.join(names[:MAX_NAMED])})" if names else "")


def _lines(problems: Sequence[Problem]) -> Iterator[str]:
    """Write each problem on a line; those of one column that one remedy serves share it."""
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
    """Write row numbers, those that follow each other as a range.

    >>> _rows([2, 3, 4, 9])
    'rows 2-4, 9'
    """
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    shown = ", ".join(f"{a}" if a == b else f"{a}-{b}" for a, b in runs)
    return f"row{'s' if len(numbers) > 1 else ''} {shown}"
