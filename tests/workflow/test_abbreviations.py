"""The list of abbreviations, and the links to it."""

from __future__ import annotations

import re
from types import SimpleNamespace

import jupytext
import pytest
from docutils import nodes
from docutils.core import publish_doctree

import library_pages
from cpmlib.book.captions import read_items
from sphinx_extensions import abbreviations
from studies import ROOT

PROGRAMS = {"CODECHECK", "DataLad", "JupyterLab", "NeuroLibre", "NumPy", "QuPath"}
PARTS = {"P68", "UTF"}
"""A symbol that is explained beside its formula, and a part of UTF-8."""
OF_EXAMPLES = {"P01", "S01"}
CODE = re.compile(
    r"^(`{3,}|:{3,})\{?(?:code-cell|figure|glue)?.*?^\1$|^(`{3,}).*?^\2$|\{[a-z:]+\}`[^`]*`|`[^`]*`"
    r"|\]\([^)]*\)|\$\$.*?\$\$|\$[^$]*\$|<[^>]*>",
    re.MULTILINE | re.DOTALL,
)
SHORT = re.compile(r"(?<![\w/.&-])[A-Za-z0-9&]*[A-Z][A-Za-z0-9&]*[A-Z0-9][A-Za-z0-9&]*\+?(?!\w)")


def prose() -> dict[str, str]:
    """The words of each page, without code."""
    found = {path.name: path.read_text("utf-8") for path in (ROOT / "book").glob("*.md")}
    for path in (ROOT / "notebooks").glob("*.md"):
        cells = jupytext.read(path).cells
        found[path.name] = "\n\n".join(c.source for c in cells if c.cell_type == "markdown")
    found["captions"] = "\n".join(f"{i.caption} {i.alt}" for i in read_items().values())
    return {name: CODE.sub(" ", text) for name, text in found.items()}


def test_every_abbreviation_of_the_pages_is_in_the_list():
    listed = {form for entry in abbreviations.entries() for form in entry.forms}
    known = listed | PROGRAMS | PARTS | OF_EXAMPLES
    missing = {
        f"{name}: {short}"
        for name, text in prose().items()
        for short in SHORT.findall(text)
        if short.removesuffix("s") not in known and short not in known
    }
    assert not missing, "add them to book/abbreviations.tsv"


def test_the_list_has_no_form_or_anchor_twice_and_is_in_order():
    entries = abbreviations.entries()
    forms = [form for entry in entries for form in entry.forms]
    assert len(forms) == len(set(forms))
    assert len({entry.anchor for entry in entries}) == len(entries)
    assert [e.forms[0].lower() for e in entries] == sorted(e.forms[0].lower() for e in entries)
    assert all(entry.meaning.endswith(".") for entry in entries)


def test_each_entry_is_a_target_of_the_glossary():
    table = library_pages.short_forms()
    for entry in abbreviations.entries():
        assert f"{{#{entry.anchor}}}" in table


PAGE = """
ADC and its heading
===================

See `ADC <x.html>`_, ``ADC``, :math:`ADC`, sub-ADC and ADCs, then T1+Gd, T1 and **ADC**; ADC again.

.. note:: R2, R² and *n* of the CPM-derived map.
"""


def app(*pages: str) -> SimpleNamespace:
    builder = SimpleNamespace(get_relative_uri=lambda page, other: f"../{other}.html")
    return SimpleNamespace(builder=builder, env=SimpleNamespace(all_docs=pages))


def links(doctree: nodes.document) -> list[nodes.reference]:
    return [node for node in doctree.findall(nodes.reference) if "short" in node["classes"]]


def test_the_first_use_in_prose_alone_is_a_link_that_says_what_it_means():
    doctree = publish_doctree(PAGE)
    before = doctree.astext()
    abbreviations.link_first_uses(app(abbreviations.GLOSSARY), doctree, "notebooks/01_cohort")
    found = links(doctree)
    assert [link.astext() for link in found] == ["T1+Gd", "T1", "ADC", "R2", "CPM"]
    adc = found[2]
    assert isinstance(adc.parent, nodes.strong)
    assert adc["refuri"] == "../book/glossary.html#short-adc"
    assert adc["reftitle"].startswith("apparent diffusion coefficient: ")
    assert doctree.astext() == before


@pytest.mark.parametrize("pages", [(), (abbreviations.GLOSSARY,)])
def test_no_link_without_a_glossary_or_on_it(pages):
    doctree = publish_doctree(PAGE)
    abbreviations.link_first_uses(app(*pages), doctree, abbreviations.GLOSSARY)
    assert not links(doctree)
