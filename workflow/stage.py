"""Stage the book's source beside the executed notebooks and build the HTML.

    python workflow/stage.py

Sphinx runs no code and reads every page anew, warnings being errors, so that no page shows a
number of an earlier build; but for the reference, which holds none and is read again once the
library has changed. build/html is replaced as a whole, and only if all went well.
"""

from __future__ import annotations

import gc
import html
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import yaml

from cpmlib.book.captions import with_numbers
from cpmlib.book.markup import escape, pipe_table, typeset
from cpmlib.book.widgets import script_files
from cpmlib.study import schemas
from cpmlib.study.published import read_published
from dependencies import BUILD, ROOT, SHARED, library_files, notebook_names
from front_page import MARK, picture
from leaks import leaks, tell
from library_pages import write_pages
from measurements import write_measurements
from search_index import improve
from sharing import write_beside
from sphinx_extensions.kept_reference import KEPT
from version import code_version, front_matter, one_line

SITE = BUILD / "site"
EXTENSIONS = Path(__file__).with_name("sphinx_extensions")
TEMPLATES = "templates"
"""Folder of what differs from the theme's own, beside this file."""


def main() -> int:
    """Do it; return the exit status."""
    from jupyter_book.cli.main import main as jupyter_book

    gc.disable()  # it would look through all pages time and again, and find little
    description = json.loads((BUILD / "dataset" / "dataset_description.json").read_text("utf-8"))
    _copy_book()
    _write_generated_pages()
    write_pages(SITE / "book")
    write_measurements(SITE / "book")
    _write_config(description)
    target = BUILD / "sphinx"
    shutil.rmtree(target, ignore_errors=True)
    # In this process, which has loaded most of what Sphinx needs.
    options = ["--path-output", str(target), "--all", "-W", "--keep-going", "--quiet"]
    try:
        jupyter_book(["build", str(SITE), *options])
    except SystemExit as ended:
        status = ended.code
    built = target / "_build" / "html"
    if status or not (built / "index.html").is_file():
        print("the book could not be built; see the messages above")
        return 1
    (target / "_build" / ".doctrees" / KEPT.name).replace(KEPT)
    for script in (SITE / "notebooks").glob("*_files/*.js"):  # Sphinx knows of no page's own
        kept = built / script.relative_to(SITE)
        kept.parent.mkdir(exist_ok=True)
        shutil.copy(script, kept)
    printed = read_published(ROOT / "data" / "published-values.tsv")["printed"]
    improve(built / "searchindex.js", printed)
    config = yaml.safe_load((ROOT / "_config.yml").read_text("utf-8"))
    write_beside(built, _address(), config["title"], _named(description))
    if shown := leaks(built):
        tell(shown)
        return 1
    # Not before: Jupyter Book puts every script of its source into every page.
    for path in script_files():
        shutil.copy(path, built / "_static")
    old, new = SHARED / "html.old", SHARED / "html"
    shutil.rmtree(old, ignore_errors=True)
    if new.exists():
        new.rename(old)
    built.rename(new)
    shutil.rmtree(old, ignore_errors=True)
    return 0


def _copy_book() -> None:
    shutil.rmtree(SITE / "book", ignore_errors=True)
    shutil.copytree(
        ROOT / "book", SITE / "book", ignore=shutil.ignore_patterns("_toc.yml", "_static")
    )
    for page in (SITE / "book").glob("*.md"):
        page.write_text(with_numbers(page.read_text("utf-8")), encoding="utf-8")
    shutil.copytree(ROOT / "book" / "_static", SITE / "_static", dirs_exist_ok=True)
    shutil.copy(ROOT / "book" / "_toc.yml", SITE / "_toc.yml")
    shutil.copy(BUILD / "graph.svg", SITE / "book" / "graph.svg")
    shutil.copy(ROOT / "CITATION.cff", SITE / "book" / "CITATION.cff")
    wanted = {f"{name}.ipynb" for name in notebook_names()}
    for path in (SITE / "notebooks").glob("*.ipynb"):
        if path.name not in wanted:  # left by a notebook that has since been renamed
            path.unlink()


def _write_generated_pages() -> None:
    parts = ["# Data dictionary\n"]
    parts.append((ROOT / "book" / "data_dictionary.md").read_text("utf-8").split("\n", 1)[1])
    parts.append("## dataset_description.json\n")
    parts.append(pipe_table(schemas.description_dictionary()) + "\n")
    for schema in (schemas.PARTICIPANTS, schemas.SAMPLES):
        parts.append(f"## {escape(schema.name)}\n")
        listed = schemas.data_dictionary(schema)
        measured = listed["unit"] != ""  # levels stand as they are to be written in a table
        listed.loc[measured, ["unit", "values"]] = listed[["unit", "values"]].map(typeset)
        parts.append(pipe_table(listed) + "\n")
    (SITE / "book" / "data_dictionary.md").write_text("\n".join(parts), encoding="utf-8")
    page = SITE / "book" / "index.md"
    text = page.read_text("utf-8").replace(MARK, picture(SITE / "notebooks"))
    page.write_text(text + front_matter(_repository()), encoding="utf-8")
    page = SITE / "book" / "workflow.md"
    needs = pd.DataFrame(
        [(name, _modules(f"notebooks/{name}.md")) for name in notebook_names()],
        columns=["Notebook", "Library modules"],
    )
    heading = "\n## What each notebook needs\n\nRead from the imports, as the workflow does.\n\n"
    page.write_text(page.read_text("utf-8") + heading + pipe_table(needs) + "\n", encoding="utf-8")


def _modules(script: str) -> str:
    paths = [Path(path).relative_to("src") for path in library_files(script)]
    names = (".".join(path.with_suffix("").parts) for path in paths)
    return ", ".join(dict.fromkeys(name for name in names if not name.endswith("__init__")))


def _write_config(description: dict[str, object]) -> None:
    config = yaml.safe_load((ROOT / "_config.yml").read_text("utf-8"))
    sphinx = config["sphinx"]["config"]
    # The theme fetches an announcement that begins with http; this one never does.
    announcement = f"<span>Dataset: {html.escape(_named(description))}</span>"
    sphinx["html_theme_options"]["announcement"] = announcement
    sphinx["code_version"] = code_version()
    # Paths of local extensions are relative to the configuration.
    here = os.path.relpath(ROOT / "workflow", SITE)
    names = sorted(path.stem for path in EXTENSIONS.glob("[!_]*.py"))
    extensions = (f"{EXTENSIONS.name}.{name}" for name in names)
    sphinx["templates_path"] = [f"{here}/{TEMPLATES}"]
    config["sphinx"]["local_extensions"] = dict.fromkeys(extensions, here)
    config["html"]["extra_footer"] = f"<p>{html.escape(one_line())}</p>"
    if address := _address():
        config["html"]["baseurl"] = address
    url = _repository()
    if url:
        config["repository"] = {"url": url, "branch": "main", "path_to_book": ""}
        config["html"].update(use_repository_button=True, use_issues_button=True)
        config["launch_buttons"]["binderhub_url"] = "https://mybinder.org"
        if url.startswith("https://github.com/"):  # Colab opens no others
            config["launch_buttons"]["colab_url"] = "https://colab.research.google.com"
    (SITE / "_config.yml").write_text(yaml.safe_dump(config, allow_unicode=True), encoding="utf-8")


def _named(description: dict[str, object]) -> str:
    """Return the name of the dataset, with its label."""
    return ". ".join(str(description[key]) for key in ("Name", "DataLabel") if key in description)


def _address() -> str:
    """Return the address at which the book will stand; empty if nobody said."""
    return os.environ.get("BOOK_URL", "").rstrip("/")


def _repository() -> str | None:
    """Address of the repository, if this is a clone of one that Jupyter Book knows."""
    name = os.environ.get("GITHUB_REPOSITORY")
    if name:
        return f"https://github.com/{name}"
    git = ["git", "-C", str(ROOT), "remote", "get-url", "origin"]
    found = subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip()
    match = re.fullmatch(
        r"(?:https://|git@)(github\.com|gitlab\.com)[/:]([\w.-]+/[\w.-]+?)(?:\.git)?", found
    )
    return f"https://{match[1]}/{match[2]}" if match else None


if __name__ == "__main__":
    sys.exit(main())
