"""Pages whose list of chapters is made of titles alone are what Sphinx and the theme make."""

from pathlib import Path

from sphinx.testing.util import SphinxTestApp

PAGES = {
    "index": "Start\n=====\n\n.. toctree::\n   :caption: Part\n\n   one\n   two\n",
    "one": "One\n===\n\nFirst\n-----\n\n.. py:function:: f()\n\nSecond\n------\n\nText.\n",
    "two": "Two *words*\n===========\n\nThird\n-----\n\n.. toctree::\n\n   below/three\n",
    "below/three": "Three\n=====\n\nFourth\n------\n\nText.\n\n.. py:function:: g()\n",
}


def build(folder: Path, *extensions: str) -> dict[str, str]:
    """Return each page of a small book with nested chapters."""
    (folder / "below").mkdir(parents=True)
    (folder / "conf.py").write_text("html_theme = 'sphinx_book_theme'\n", encoding="utf-8")
    for name, text in PAGES.items():
        (folder / f"{name}.rst").write_text(text, encoding="utf-8")
    app = SphinxTestApp(
        srcdir=folder, freshenv=True, confoverrides={"extensions": list(extensions)}
    )
    try:
        app.build()
        return {name: (app.outdir / f"{name}.html").read_text("utf-8") for name in PAGES}
    finally:
        app.cleanup()


def test_pages_are_the_same(tmp_path: Path) -> None:
    whole = build(tmp_path / "whole")
    assert all(text in whole["one"] for text in ("Two <em>words</em>", "First", "f()"))
    assert "below/three.html" in whole["two"]
    assert build(tmp_path / "short", "sphinx_extensions.chapter_titles") == whole


def test_contents_are_cut_to_titles_and_chapters(tmp_path: Path) -> None:
    from docutils import nodes
    from sphinx import addnodes

    from sphinx_extensions.chapter_titles import only_title

    below = nodes.bullet_list("", nodes.list_item("", nodes.paragraph("", "Third")))
    below += nodes.list_item("", addnodes.toctree(entries=[(None, "three")]))
    page = nodes.bullet_list("", nodes.list_item("", nodes.paragraph("", "Two"), below))
    cut = only_title(page)
    assert cut.astext().split() == ["Two"]
    assert [chapter["entries"] for chapter in cut.findall(addnodes.toctree)] == [[(None, "three")]]
    assert "Third" in page.astext()
