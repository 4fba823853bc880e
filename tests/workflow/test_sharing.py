"""What stands beside the pages, and in their heads, for search and for previews of links."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from types import SimpleNamespace

import pytest
from bs4 import BeautifulSoup
from docutils.core import publish_doctree

import sharing
from sphinx_extensions import page_head

PAGE = """<html><main role="main"><p>Not the text</p><article><section id="a"><h1>A <a
class="headerlink" href="#a">#</a></h1><p>x &lt;b&gt;<br> <em>y</em></p>
<svg><svg/>drawn</svg><script>var z = 1;</script>
<section id="a-1"><p>deep</p></section></section></article></main></html>"""


def test_the_text_of_a_page_is_its_words_in_their_sections():
    assert sharing.page_text(PAGE) == (
        '<div role="main"><section id="a">A x &lt;b&gt; y <section id="a-1">deep</section>'
        "</section></div>"
    )
    assert sharing.page_text("<p>none</p>") == ""


@pytest.mark.parametrize("url", ["", "https://example.org/book"])
def test_what_needs_an_address_is_written_where_it_is_known(tmp_path, url):
    for name in ("book/index", "notebooks/01_cohort", "_modules/a"):
        path = tmp_path / f"{name}.html"
        path.parent.mkdir(exist_ok=True)
        path.write_text(PAGE)
    sharing.write_beside(tmp_path, url, "A book of $\\frac$", "made up. SYNTHETIC")
    script = (tmp_path / sharing.TEXTS).read_text("utf-8")
    texts = json.loads(script.removeprefix("window.SEARCH_TEXTS = ").rstrip(";\n"))
    assert list(texts) == ["book/index.html", "notebooks/01_cohort.html"]
    assert (tmp_path / page_head.CARD).is_file() == bool(url)
    assert (tmp_path / "sitemap.xml").is_file() == bool(url)
    if url:
        found = ET.parse(tmp_path / "sitemap.xml").findall(".//{*}loc")
        assert [place.text for place in found] == [f"{url}/{name}" for name in texts]
        # The size is in a PNG's first chunk.
        size = (tmp_path / page_head.CARD).read_bytes()[16:24]
        assert [int.from_bytes(size[:4]), int.from_bytes(size[4:])] == [1200, 630]


def head(text: str, url: str = "") -> dict[str, str]:
    builder = SimpleNamespace(get_target_uri=lambda page: f"{page}.html")
    config = SimpleNamespace(html_title="The book", html_baseurl=url)
    titles = {"book/a": publish_doctree('A & "B"')}
    app = SimpleNamespace(builder=builder, config=config, env=SimpleNamespace(titles=titles))
    context = {"title": "A", "metatags": "<meta name='kept' content='1'>"}
    page_head.describe(app, "book/a", "page.html", context, publish_doctree(text))
    tags = BeautifulSoup(context["metatags"], "html.parser").find_all("meta")
    return {str(tag.get("property") or tag["name"]): str(tag["content"]) for tag in tags}


SOURCE = """
Title
=====

.. note:: Not this.

One
===

It is <so> "and" so.
"""


def test_a_page_tells_its_title_and_first_sentences():
    found = head(SOURCE)
    assert found["kept"] == "1"
    assert found["og:title"] == 'A & "B"'
    assert found["og:site_name"] == "The book"
    assert found["og:description"] == found["description"] == 'It is <so> "and" so.'
    assert "og:url" not in found
    assert "og:image" not in found


def test_an_address_that_is_known_is_told():
    found = head(SOURCE, "https://example.org/book/")
    assert found["og:url"] == "https://example.org/book/book/a.html"
    assert found["og:image"] == "https://example.org/book/card.png"


def test_a_long_description_ends_between_words():
    text = head(SOURCE.replace("It is", "It is " + "wordy " * 60))["description"]
    assert len(text) <= page_head.LONGEST
    assert text.endswith("wordy…")


def test_a_page_without_a_paragraph_has_no_description():
    assert "description" not in head("* x")
    assert "og:description" not in head("* x")
