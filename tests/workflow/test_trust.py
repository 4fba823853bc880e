"""What a page says of where it comes from: its picture, the version of its code, its citation."""

from __future__ import annotations

import hashlib
import json
import subprocess
from types import SimpleNamespace

import pytest
import yaml
from docutils import nodes
from docutils.utils import new_document
from sphinx import addnodes

import front_page
import version
from cpmlib.book import markup
from cpmlib.book.captions import item
from sphinx_extensions.cell_anchors import name_version
from studies import ROOT


def executed(folder, name, key, alt):
    block = markup.figure_block(key, f"{name}_files/{key}.svg", "Caption.", alt, [])
    outputs = [{"data": {"text/markdown": block.splitlines(keepends=True)}}, {"text": "x"}]
    cells = [{"cell_type": "markdown", "source": ""}, {"outputs": outputs}]
    (folder / f"{name}.ipynb").write_text(json.dumps({"cells": cells}))


@pytest.mark.parametrize(
    ("images", "scatter", "shown"),
    [(True, True, "fig-maps"), (False, True, "fig-2"), (False, False, None)],
)
def test_the_front_page_shows_a_figure_that_there_is(tmp_path, images, scatter, shown):
    there = {"fig-maps": images, "fig-2": scatter}
    for name, key in zip(["02_one", "01_scatter"], front_page.CHOICE, strict=True):
        (tmp_path / f"{name}_files").mkdir()
        (tmp_path / f"{name}_files" / f"{key}.svg").touch()
        executed(tmp_path, name, key, item(key).alt if there[key] else "There are no images.")
    text = front_page.picture(tmp_path)
    if shown is None:
        assert text == ""
    else:
        assert f"{shown}.svg\n:alt: {item(shown).alt}\n" in text
        assert f"<{shown}>" in text


def test_the_front_page_has_a_place_for_it():
    assert (ROOT / "book" / "index.md").read_text("utf-8").count(front_page.MARK) == 1


def git(folder, *arguments):
    who = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
    command = ["git", "-C", str(folder), *who, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def clone(tmp_path, monkeypatch):
    folder = tmp_path / "clone"
    for name in ("src", "tests"):
        (folder / name).mkdir(parents=True)
        (folder / name / "a.py").write_text("x = 1\n")
    git(tmp_path, "init", "-q", "clone")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "first")
    monkeypatch.setattr(version, "ROOT", folder)
    return folder


def test_the_version_of_the_code_is_the_commit(clone):
    last = git(clone, "log", "-1", "--format=%h")
    assert version.code_version() == last
    assert version.commit().startswith(f"{last} of ")
    (clone / "tests" / "a.py").write_text("x = 2\n")
    assert version.code_version() == last, "no page is made from a test"


@pytest.mark.parametrize("name", ["src/a.py", "src/new.py", "_config.yml"])
def test_files_that_differ_from_the_commit_are_said(clone, name):
    (clone / name).write_text("x = 2\n")
    assert version.code_version().endswith(" with changes")
    assert version.commit().endswith(", with changes since")


@pytest.mark.parametrize("inside", [False, True])
def test_outside_a_clone_of_the_project_the_version_is_the_librarys(
    clone, tmp_path, monkeypatch, inside
):
    monkeypatch.setattr(version, "ROOT", clone / "src" if inside else tmp_path)
    assert version.code_version().startswith("cpmlib ")
    assert version.commit() == ""


def line(text: str, target: str) -> nodes.paragraph:
    link = addnodes.pending_xref("", nodes.inline("", "this cell"), reftarget=target)
    return nodes.paragraph("", "", nodes.Text(text), link, nodes.Text(" · data (CSV)"))


def test_the_line_under_an_item_ends_with_the_version():
    said = markup.downloads("fig-2", [("data (CSV)", "x.csv")])
    assert said.startswith("Made by {ref}`this cell <cell-fig-2>` · {download}`data (CSV) <x.csv>`")
    document = new_document("page")
    document += line("Made by ", "cell-fig-2")
    document += line("See ", "cell-fig-2")
    document += line("Made by ", "fig-2")
    name_version(SimpleNamespace(config=SimpleNamespace(code_version="abc1234")), document)
    ends = [part.astext().endswith(" · code version abc1234") for part in document.children]
    assert ends == [True, False, False]


def test_the_front_page_cites_the_paper_and_names_the_environment():
    text = version.front_matter(None)
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))["preferred-citation"]
    assert f"<https://doi.org/{cited['doi']}>" in text
    assert "Nocera G, Sanvito F, Yao J, " in text
    assert markup.escape(cited["title"]) in text
    digest = hashlib.sha256((ROOT / "requirements.lock").read_bytes()).hexdigest()
    assert digest.startswith(text.split("SHA-256 begins with ")[1].split(")")[0])
