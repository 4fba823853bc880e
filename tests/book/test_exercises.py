"""Every exercise of the lessons has a solution that is run, and wrong answers are refused."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import jupytext
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from cpmlib.book import exercises, sheet
from cpmlib.book.exercises import Exercise, NotYet, check, read_exercises
from studies import ROOT

LESSONS = sorted((ROOT / "notebooks").glob("*_learn_*.md"))
LISTED = read_exercises(ROOT / exercises.EXERCISES)
PARTS = ["Change this number", "Exercises", "Further reading"]
"""What a lesson has after its picture, in this order."""


def prose(path: Path) -> str:
    return path.read_text("utf-8").split("---\n", 2)[2]


def run(path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """Run a lesson as its notebook does; return the answers that its solutions check."""
    given: dict[str, object] = {}
    really = check

    def noted(name: str, answer: exercises.Answer) -> None:
        given[name] = answer
        really(name, answer)

    monkeypatch.setattr(exercises, "check", noted)
    monkeypatch.setattr(sheet, "display", lambda thing: None)
    monkeypatch.setattr(sheet.Lesson, "glue", lambda self, **numbers: None)
    monkeypatch.chdir(ROOT / "notebooks")
    names: dict[str, object] = {"__name__": "__main__"}
    for cell in jupytext.read(path).cells:
        if cell.cell_type == "code":
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # as in a kernel, where none is an error
                exec(compile(cell.source, path.stem, "exec"), names)
    plt.close("all")
    return given


@pytest.mark.parametrize("path", LESSONS, ids=lambda p: p.stem)
def test_every_solution_is_right_and_no_other_answer(path, monkeypatch):
    named = re.findall(r"\{exercise\}[^\n]*\n:label: (\S+)", prose(path))
    assert re.findall(r"\{solution-start\} (\S+)", prose(path)) == named
    before_any_solution = prose(path).partition("{solution-start}")[0]
    assert all(f'check("{name}", your_answer)' in before_any_solution for name in named[:2])
    given = run(path, monkeypatch)
    assert list(given) == named
    for name, answer in given.items():
        for wrong in others(LISTED[name]):
            with pytest.raises(NotYet, match=re.escape(LISTED[name].hint)):
                check(name, wrong)
        check(name, answer)


@pytest.mark.parametrize("path", LESSONS, ids=lambda p: p.stem)
def test_jupyterlab_folds_the_solutions_and_nothing_else(path):
    solution = False
    for cell in jupytext.read(path).cells:
        starts, ends = (f"{{solution-{part}}}" in cell.source for part in ("start", "end"))
        assert starts == cell.source.startswith("````{solution-start}")
        solution = starts or (solution and not ends)
        assert cell.metadata.get("jupyter", {}) == ({"source_hidden": True} if solution else {})


def others(exercise: Exercise) -> list[object]:
    """Return answers that are just not right."""
    answer = exercise.answer
    if isinstance(answer, str):
        return [f"{answer}s", 1]
    if isinstance(answer, list) and isinstance(answer[0], str):
        return [answer[1:], [*answer[:-1], "other"]]
    right = np.asarray(answer, float)
    step = np.zeros_like(right)
    step.flat[-1] = 1.001 * exercise.within + 1e-6 * max(1, np.abs(right).max())
    return [right + step, right - step, [*right.flat, 0.0], "many"]


def test_every_exercise_stands_in_one_lesson():
    text = "".join(prose(path) for path in LESSONS)
    assert sorted(re.findall(r"^:label: (\S+-\d+)$", text, re.MULTILINE)) == sorted(LISTED)


@pytest.mark.parametrize("path", LESSONS, ids=lambda p: p.stem)
def test_a_lesson_has_the_plan_of_all(path):
    text = prose(path)
    start = text.index("# ") + 1
    places = [
        text.index(part, start) for part in ("Before you start", "Time", "Afterwards you can")
    ]
    places.append(text.index("lesson.picture("))
    places += [
        text.index(f"\n{kind} {part}\n")
        for kind, part in zip((":::{admonition}", "##", "##"), PARTS, strict=True)
    ]
    assert places == sorted(places)
    assert 3 <= text.count("{exercise}") <= 5
    assert "{cite:p}" in text[places[-1] :]
    assert re.search(r"\]\((?!\d\d_learn)\d\d_\w+\.ipynb\)", text), "no link to a chapter"
    assert "study: false" in path.read_text("utf-8")


def test_the_course_lists_all_lessons_in_their_order():
    course = (ROOT / "book" / "course.md").read_text("utf-8")
    listed = re.findall(
        r"^\| \d+ \| \[\]\(\.\./notebooks/(\w+)\.ipynb\) \| (.*?) \|", course, re.MULTILINE
    )
    takes = [re.search(r"\*\*Time:\*\* (.*)\.", prose(path)) for path in LESSONS]
    assert listed == [(path.stem, time[1]) for path, time in zip(LESSONS, takes, strict=True)]


@pytest.mark.parametrize(
    ("answer", "given", "said"),
    [
        (2.0, "2", "Not yet"),
        (2.0, "two", "A number is asked for"),
        (2.0, [2.0, 2.0], "One number is asked for"),
        (2.0, float("nan"), "Not yet"),
        ([1.0, 2.0], 1.0, "2 numbers are asked for"),
        ([1.0, 2.0], [2.0, 1.0], "Not yet"),
        ("yes", 1, "A word in quotes is asked for"),
        ("yes", "no", "Not yet"),
    ],
)
def test_another_answer_gets_one_line_with_a_hint(answer, given, said, monkeypatch):
    made = Exercise(answer, known="By counting.", hint="Count.", within=0.5)
    if given == "2":
        made = Exercise(3.0, known="By counting.", hint="Count.", within=0.5)
    monkeypatch.setattr(exercises, "read_exercises", lambda: {"made-1": made})
    with pytest.raises(NotYet) as error:
        check("made-1", given)
    assert error.value._render_traceback_() == [f"{said}. Count."]


def test_one_number_in_an_array_or_column_is_one_number(monkeypatch, capsys):
    made = {"made-1": Exercise(2.0, "", ""), "made-2": Exercise([2.0, 3.0], "", "")}
    monkeypatch.setattr(exercises, "read_exercises", lambda: made)
    check("made-1", np.array([2.0]))
    check("made-1", pd.Series([2.0]))
    check("made-2", [pd.Series([2.0]), pd.Series([3.0])])
    assert capsys.readouterr().out.count("Right") == 3


def test_words_are_taken_in_any_order_and_case(monkeypatch, capsys):
    made = Exercise(["ADC", "FLAIR"], known="By reading.", hint="Read.")
    monkeypatch.setattr(exercises, "read_exercises", lambda: {"made-1": made})
    check("made-1", [" flair", "adc"])
    assert capsys.readouterr().out == "Right. By reading.\n"


def test_a_notebook_shows_the_line_and_no_traceback():
    """IPython's own way to show an error, as JupyterLab gets it."""
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell()
    seen: list[list[str]] = []
    shell._showtraceback = lambda kind, value, lines: seen.append(lines)  # type: ignore[method-assign]
    shell.run_cell("from cpmlib.book.exercises import NotYet\nraise NotYet('Not yet. Count.')")
    assert seen == [["Not yet. Count."]]
