"""Pages built with a kept reference are what a build from nothing makes."""

import sys
from pathlib import Path

import pytest
from sphinx.pycode import ModuleAnalyzer
from sphinx.testing.util import SphinxTestApp

from sphinx_extensions import kept_reference

MODULE = '"""Shelves."""\n\n\ndef books():\n    """{}"""\n'
PAGES = {
    "index": "Start\n=====\n\n.. toctree::\n\n   book/reference\n   notebooks/one\n",
    "book/reference": "Reference\n=========\n\n:doc:`/notebooks/one`\n\n"
    ".. automodule:: shelf\n   :members:\n",
    "notebooks/one": "One\n===\n\n27 of :py:func:`shelf.books`\n",
}
EXTENSIONS = ["sphinx.ext.autodoc", "sphinx.ext.viewcode", "sphinx_extensions.kept_reference"]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "conf.py").touch()
    for name, text in PAGES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / f"{name}.rst").write_text(text, encoding="utf-8")
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "shelf.py").write_text(MODULE.format("All of them."), encoding="utf-8")
    monkeypatch.setattr(kept_reference, "ROOT", tmp_path)
    monkeypatch.setattr(kept_reference, "KEPT", tmp_path / "reference.pickle")
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.syspath_prepend(tmp_path / "src")
    return tmp_path


def build(project: Path) -> tuple[dict[str, bytes], list[str]]:
    """Return the files of HTML as a new process makes them, and which pages it read."""
    sys.modules.pop("shelf", None)
    ModuleAnalyzer.cache.clear()
    app = SphinxTestApp(
        srcdir=project,
        builddir=project / "build",
        freshenv=True,
        confoverrides={"extensions": EXTENSIONS},
        warningiserror=True,
    )
    read = []
    app.connect("source-read", lambda app, name, source: read.append(name))
    try:
        app.build(force_all=True)
        (Path(app.doctreedir) / kept_reference.KEPT.name).replace(kept_reference.KEPT)
        files = [path for path in Path(app.outdir).rglob("*") if path.is_file()]
        return {str(path.relative_to(app.outdir)): path.read_bytes() for path in files}, read
    finally:
        app.cleanup()


def from_nothing(project: Path) -> dict[str, bytes]:
    kept_reference.KEPT.unlink()
    built, read = build(project)
    assert read[0] == "book/reference"
    return built


def test_the_reference_is_read_again_only_if_the_library_has_changed(project):
    first, _ = build(project)
    again, read = build(project)
    assert again == first
    assert read == ["index", "notebooks/one"]

    page = project / "notebooks" / "one.rst"
    page.write_text("Uno\n===\n\n28 of :py:func:`shelf.books`\n", encoding="utf-8")
    renamed, read = build(project)
    assert read == ["index", "notebooks/one"]
    assert b"Uno" in renamed["book/reference.html"]
    assert b"27 of" not in b"".join(renamed.values())
    assert renamed == from_nothing(project)

    changed = MODULE.format("Some.") + '\n\ndef pages():\n    """Their sum."""\n'
    (project / "src" / "shelf.py").write_text(changed, encoding="utf-8")
    grown, read = build(project)
    assert read == ["book/reference", "index", "notebooks/one"]
    for shown in (grown["book/reference.html"], grown["_modules/shelf.html"]):
        assert b"Their sum." in shown
        assert b"All of them." not in shown
    assert grown == from_nothing(project)


def test_a_kept_reference_hides_no_warning(project):
    """A build that fails keeps nothing: `stage.py` takes only what one that succeeds has left."""
    build(project)
    (project / "src" / "shelf.py").write_text(MODULE.format("Some *thing."), encoding="utf-8")
    for _ in range(2):
        with pytest.raises(Exception, match="Inline emphasis start-string"):
            build(project)
