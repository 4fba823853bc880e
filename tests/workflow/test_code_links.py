"""What the reference says of pages and tests, and links from code to the reference."""

from __future__ import annotations

import re
from types import SimpleNamespace

import library_pages
import uses
from cpmlib.book.markup import escape
from sphinx_extensions import code_links
from studies import ROOT

SOURCE = """
import numpy as np
import cpmlib.roi.sphere
from cpmlib.paper import groups, hgg as high
from cpmlib.statistics.meng import meng_test

np.mean(groups.descriptives(high.SHOWN))
page.groups.other()
cpmlib.roi.sphere.sphere_weights()
"""


def test_names_of_a_source_are_told_with_their_module():
    found = uses.written_names(SOURCE)
    assert found["groups.descriptives"] == "cpmlib.paper.groups.descriptives"
    assert found["high.SHOWN"] == "cpmlib.paper.hgg.SHOWN"
    assert found["meng_test"] == "cpmlib.statistics.meng.meng_test"
    assert found["cpmlib.roi.sphere.sphere_weights"] == "cpmlib.roi.sphere.sphere_weights"
    assert not [name for name in found if "np" in name or "page" in name]


def test_pages_and_tests_of_a_function_name_it():
    """Each is found by reading the file's text, which is another way than its syntax."""
    for users, folder, end in ((uses.pages(), "notebooks", ".md"), (uses.tests(), "", "")):
        assert users
        for name, files in users.items():
            last = name.rpartition(".")[2]
            for file in files:
                text = (ROOT / folder / f"{file}{end}").read_text("utf-8")
                assert re.search(rf"\b{last}\b", text), (name, file)
    assert "02_groups" in uses.pages()["cpmlib.paper.groups.descriptives"]
    assert "tests/statistics/test_meng.py" in uses.tests()["cpmlib.statistics.meng.meng_z"]


def test_a_function_of_the_reference_lists_them():
    lines = ["What it does."]
    name = "cpmlib.paper.groups.descriptives"
    code_links.add_uses(None, "function", name, None, None, lines)
    assert lines[2].startswith(":Used on: :doc:`/notebooks/02_groups`")
    for what, other in (("function", "cpmlib.none"), ("module", name)):
        lines = ["What it does."]
        code_links.add_uses(None, what, other, None, None, lines)
        assert lines == ["What it does."]


def n(*parts: str) -> str:
    return '<span class="o">.</span>'.join(f'<span class="n">{part}</span>' for part in parts)


def test_code_is_linked_where_it_names_the_function():
    code = f"{n('groups', 'a')}, {n('groups', 'b')}, {n('page', 'groups')}, {n('groups')}"
    start = '<div class="highlight-ipython3 notranslate"><pre>'
    body = f"<p>{n('groups')}</p>{start}{code}</pre></div>"
    links = {"groups": "r#g", "groups.a": "r#a"}
    expected = (
        f'<a class="code" href="r#a">{n("groups", "a")}</a>, '
        f'<a class="code" href="r#g">{n("groups")}</a><span class="o">.</span>'
        f'<span class="n">b</span>, {n("page", "groups")}, '
        f'<a class="code" href="r#g">{n("groups")}</a>'
    )
    linked = f"<p>{n('groups')}</p>{start}{expected}</pre></div>"
    assert code_links.with_links(body, links) == linked


def test_a_link_leads_to_the_anchor_that_the_reference_has():
    objects = [
        (
            "cpmlib.paper.groups",
            "groups",
            "module",
            "book/reference",
            "module-cpmlib.paper.groups",
            0,
        ),
        ("cpmlib.book.page.Page", "Page", "class", "book/other", "cpmlib.book.page.Page", 1),
    ]
    domain = SimpleNamespace(get_objects=lambda: objects)
    builder = SimpleNamespace(get_relative_uri=lambda page, other: f"../{other}.html")
    app = SimpleNamespace(builder=builder, env=SimpleNamespace(get_domain=lambda name: domain))
    start = '<div class="highlight-ipython3 notranslate"><pre>'
    context = {"body": f"{start}{n('groups')} {n('Page')}</pre>"}
    code_links.link_code(app, "notebooks/02_groups", "page.html", context, None)
    place = "../book/reference.html#module-cpmlib.paper.groups"
    linked = f'<a class="code" href="{place}">{n("groups")}</a>'
    assert context["body"] == f"{start}{linked} {n('Page')}</pre>"


def test_the_reference_quotes_the_methods_of_each_room():
    modules = library_pages.read_modules()
    text = library_pages.reference(modules)
    quoted = [q for q in library_pages.rooms(modules)["Sentences of the paper's Methods"] if q]
    assert quoted
    assert sum(f"The paper's Methods: {escape(q)}" in text for q in quoted) == len(quoted)
