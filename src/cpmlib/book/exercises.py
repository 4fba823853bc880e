"""Answers to the exercises of the lessons: `check` says whether one is right.

The right answers stand in ``data/exercises.toml``, each exercise under its name:

    [adc-1]
    answer = 0.001       a number, a list of numbers, a word, or a list of words in any order
    within = 0.00001     how far from it an answer may be; 0, exactly equal, if left out
    known = "..."        one sentence that the reader of a right answer sees: how it is known
    hint = "..."         one sentence that the reader of another answer sees
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cpmlib.book.sheet import project_root

EXERCISES = Path("data/exercises.toml")

Answer = float | str | Sequence[float] | Sequence[str] | np.ndarray


class NotYet(Exception):  # noqa: N818, it is said to a reader
    """An answer that is not right. A notebook shows its one line alone, without the calls."""

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


@dataclass(frozen=True)
class Exercise:
    """An exercise's right answer, its tolerance, and what a reader is told."""

    answer: float | str | list[float] | list[str]
    known: str
    hint: str
    within: float = 0.0

    def problem(self, given: Answer) -> str:
        """Return why an answer is not right, in the words that precede the hint; "" if it is."""
        if words := _words(self.answer):
            if not (said := _words(given)):
                return "A word in quotes is asked for"
            return "" if said == words else "Not yet"
        right = np.asarray(self.answer, float)
        try:
            found = np.squeeze(np.asarray(given, float))  # a column or array of one number is one
        except (TypeError, ValueError):
            return "A number is asked for" if not right.ndim else "Numbers are asked for"
        if found.shape != right.shape:
            asked = f"{right.size} numbers are" if right.ndim else "One number is"
            return f"{asked} asked for"
        near = np.isclose(found, right, rtol=1e-9, atol=self.within)
        return "" if near.all() else "Not yet"


def _words(answer: object) -> list[str]:
    """Return an answer in words in a form that can be compared; nothing if it is none."""
    given = [answer] if isinstance(answer, str) else answer
    if not isinstance(given, list | tuple | set | np.ndarray):
        return []
    words = [" ".join(word.lower().split()) for word in given if isinstance(word, str)]
    return sorted(words) if len(words) == len(given) else []


def read_exercises(path: Path | None = None) -> dict[str, Exercise]:
    """Return all exercises by name; from the project's file if no path is given."""
    text = (path or project_root() / EXERCISES).read_text("utf-8")
    return {name: Exercise(**entry) for name, entry in tomllib.loads(text).items()}


def check(name: str, answer: Answer) -> None:
    """Say that an answer is right, and how that is known.

    Parameters
    ----------
    name
        The exercise, such as ``adc-1``.
    answer
        A number, an array, column or list of numbers, or words; capitals do not matter.

    Raises
    ------
    NotYet
        If it is not right; with a hint.
    KeyError
        If there is no such exercise.
    """
    exercise = read_exercises()[name]
    if problem := exercise.problem(answer):
        raise NotYet(f"{problem}. {exercise.hint}")
    print(f"Right. {exercise.known}")
