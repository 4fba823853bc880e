"""The pages that the library writes about itself."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

import library_pages
from library_pages import Module
from sphinx_extensions.abbreviations import entries
from studies import ROOT


@pytest.fixture(scope="module")
def modules():
    return library_pages.read_modules()


def test_rooms_are_the_layers_that_lint_checks(modules):
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    layers = contracts["contracts"][0]["layers"]
    declared = [room for layer in reversed(layers) for room in sorted(layer.split(" | "))]
    assert list(library_pages.ROOMS) == declared
    assert {module.room for module in modules} == {*declared, library_pages.GENERATOR}


def test_arrows_run_downwards_and_none_is_implied(modules):
    order = [*library_pages.ROOMS, library_pages.GENERATOR]
    edges = library_pages.room_graph(modules).edges
    assert ("book", "figures") in edges
    assert ("book", "study") not in edges
    assert all(order.index(above) > order.index(below) for above, below in edges)


def test_every_module_is_in_the_reference_and_every_room_in_the_table(modules):
    text = library_pages.reference(modules)
    for path in (ROOT / "src" / "cpmlib").rglob("*.py"):
        if path.name != "__init__.py":
            name = ".".join(path.relative_to(ROOT / "src").with_suffix("").parts)
            assert f".. automodule:: {name}\n" in text, name
    table = library_pages.rooms(modules).set_index("Room")
    assert "ROUT" in table.loc["cpmlib.statistics", "Sentences of the paper's Methods"]
    assert table["What it does"].str.len().gt(20).all()


def test_terms_of_a_vocabulary_are_listed_with_their_meaning():
    text = """What it is.

    Vocabulary
    ----------
    - *b-value*, *b*: strength of the weighting,
      s/mm2.
    - *echo*: not a ``term`` of many.
    """
    path = ROOT / "src" / "cpmlib" / "mri" / "echo.py"
    table = library_pages.glossary([Module(path, "cpmlib.mri.echo", text.replace("\n    ", "\n"))])
    assert table.to_numpy().tolist() == [
        ["b-value, b", "strength of the weighting, s/mm².", "echo (mri)"],
        ["echo", "not a term of many.", "echo (mri)"],
    ]


def test_each_term_is_defined_once(modules):
    """Of all vocabularies, the generator's too, and the list of abbreviations; synonyms count."""
    places: dict[str, list[str]] = {}
    for module in modules:
        section = module.text.partition("\nVocabulary\n")[2].partition("\n\n")[0]
        items = re.findall(r"^[^ -].*|^- .*", section.partition("\n")[2], re.MULTILINE)
        terms = library_pages.vocabulary(module)
        assert len(items) == len(terms), f"{module.place}: write each term as `- *term*: meaning`"
        for term, meaning in terms:
            assert meaning, f"{module.place}: {term}"
            assert not re.search(r"\*[^*]+\*: ", meaning), f"{module.place}: {term} holds another"
            for form in term.split(", "):
                places.setdefault(as_compared(form), []).append(module.place)
    for entry in entries():
        for form in entry.forms:
            places.setdefault(as_compared(form), []).append("abbreviations.tsv")
    assert {form: where for form, where in places.items() if len(where) > 1} == {}


def as_compared(form: str) -> str:
    """A term without what does not make it another: capitals and plural; K is not k."""
    return form if len(form) < 3 else form.lower().removesuffix("s")


def test_the_picture_is_the_same_each_time(modules, tmp_path: Path):
    first, second = tmp_path / "a.svg", tmp_path / "b.svg"
    for path in (first, second):
        library_pages.draw_rooms(modules, path)
    assert first.read_bytes() == second.read_bytes()
