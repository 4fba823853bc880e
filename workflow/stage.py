"""Stage the book's source beside the executed notebooks and build the HTML.

    python workflow/stage.py

Sphinx runs no code and reads every page anew, warnings being errors, so that no page shows a
number of an earlier build. build/html is replaced as a whole, and only if all went well.
"""

from __future__ import annotations

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

import child
from cpmlib.book.captions import with_numbers
from cpmlib.book.markup import escape, pipe_table, typeset
from cpmlib.study import schemas
from dependencies import BUILD, ROOT, SHARED, library_files, notebook_names
from leaks import leaks, tell
from library_pages import write_pages

SITE = BUILD / "site"


def main() -> int:
    """Do it; return the exit status."""
    description = json.loads((BUILD / "dataset" / "dataset_description.json").read_text("utf-8"))
    _copy_book()
    _write_generated_pages()
    write_pages(SITE / "book")
    _write_speed()
    _write_accuracy()
    _write_config(description)
    target = BUILD / "sphinx"
    shutil.rmtree(target, ignore_errors=True)
    program = Path(sys.executable).with_name("jupyter-book")
    command = child.command(str(program), "build", str(SITE), "--path-output")
    command += [str(target), "--all", "-W", "--keep-going", "--quiet"]
    status = subprocess.run(command, cwd=ROOT, check=False, pass_fds=child.inherited()).returncode
    built = target / "_build" / "html"
    if status or not (built / "index.html").is_file():
        print("the book could not be built; see the messages above")
        return status or 1
    _escape_titles(built / "searchindex.js")
    if shown := leaks(built):
        tell(shown)
        return 1
    old, new = SHARED / "html.old", SHARED / "html"
    shutil.rmtree(old, ignore_errors=True)
    if new.exists():
        new.rename(old)
    built.rename(new)
    shutil.rmtree(old, ignore_errors=True)
    return 0


def _escape_titles(index: Path) -> None:
    """Escape what the page of search shows as HTML: Sphinx keeps titles and captions as text."""
    start, content, end = re.fullmatch(
        r"(Search\.setIndex\()(.*)(\);?\s*)", index.read_text("utf-8"), re.DOTALL
    ).groups()  # type: ignore[union-attr]
    found = json.loads(content)
    for part in ("alltitles", "indexentries"):
        found[part] = {html.escape(text): places for text, places in found[part].items()}
    text = json.dumps(found, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    index.write_text(start + text + end, encoding="utf-8")


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
    page = SITE / "book" / "workflow.md"
    needs = pd.DataFrame(
        [(f"{name}.md", _modules(f"notebooks/{name}.md")) for name in notebook_names()],
        columns=["Notebook", "Library modules"],
    )
    heading = "\n## What each notebook needs\n\nRead from the imports, as the workflow does.\n\n"
    page.write_text(page.read_text("utf-8") + heading + pipe_table(needs) + "\n", encoding="utf-8")


def _write_speed() -> None:
    """Show the committed measurements."""
    results = ROOT / "benchmarks" / "results"
    numbers = json.loads((results / "statistics.json").read_text("utf-8"))
    draws, model = numbers["one_per_patient"], numbers["mixed_model"]
    designs = f"of {model['designs']}"
    rows = [
        ("One sample per patient", "pandas and SciPy loop", draws["ratio"], "times faster"),
        ("Random-intercept model", "statsmodels MixedLM", model["ratio"], "times faster"),
        (
            "The same, worst design timed",
            "statsmodels MixedLM",
            model["lowest_ratio"],
            "times faster",
        ),
        ("Fits that failed", "this library", model["our_failures"], designs),
        ("Fits that failed", "statsmodels", model["statsmodels_failures"], designs),
        ("A million draws", "peak memory", draws["peak_mb_of_a_million_draws"], "MB"),
    ]
    statistics = pd.DataFrame(rows, columns=["What", "Against", "Measured", "Unit"])
    statistics["Measured"] = statistics["Measured"].map("{:.3g}".format)
    images = _image_speed(results)
    book = pd.DataFrame(json.loads((results / "book.json").read_text("utf-8"))["rows"])
    page = SITE / "book" / "speed.md"
    parts = [page.read_text("utf-8"), "## Statistics\n", pipe_table(statistics)]
    parts += ["\n## Images\n", pipe_table(images)]
    parts += ["\n## Building the book\n", over_limit(book), "", pipe_table(book.astype(str)), ""]
    page.write_text("\n".join(parts), encoding="utf-8")


def over_limit(book: pd.DataFrame) -> str:
    """Say which of the timed builds took longer than the project allows itself."""
    limits = pd.to_numeric(book["limit"])
    slow = book[book["seconds"] > limits]
    if slow.empty:
        return "No timed build took longer than its limit."
    said = "; ".join(
        f"{row['what']}, {row['seconds']:.0f} s where {float(row['limit']):.0f} s are allowed"
        for row in slow.to_dict("records")
    )
    return f"Longer than its limit: {said}."


def _image_speed(results: Path) -> pd.DataFrame:
    """List what was measured of maps, regions and perfusion."""
    cpm = json.loads((results / "cpm.json").read_text("utf-8"))["map"]
    roi = json.loads((results / "roi.json").read_text("utf-8"))["roi"]
    dsc = json.loads((results / "perfusion.json").read_text("utf-8"))
    rows = [
        ("Whole-brain map at 1 mm", "scikit-learn's predict", cpm["ratio"], "times faster"),
        ("The same", "largest difference", cpm["largest_difference"], "cells/mm²"),
        ("The same", "peak memory", cpm["peak_mb"], "MB"),
        ("Spheres in a 1-mm volume", "NiftiSpheresMasker", roi["ratio"], "times faster"),
        (
            "The same",
            "largest difference",
            roi["largest_relative_difference"],
            "of the value",
        ),
        ("Leakage correction", "SciPy loop over voxels", dsc["ratio"], "times faster"),
        (
            "The same, a whole series",
            "one core",
            dsc["whole_series_cpu_seconds"]["bidirectional"],
            "s",
        ),
    ]
    table = pd.DataFrame(rows, columns=["What", "Against", "Measured", "Unit"])
    return table.assign(Measured=table["Measured"].map("{:.3g}".format))


def _write_accuracy() -> None:
    """Show how near each leakage correction comes to the phantom's known blood volume."""
    path = ROOT / "benchmarks" / "results" / "perfusion.json"
    phantom = json.loads(path.read_text("utf-8"))["phantom"]
    names = {
        "bidirectional": "Corrected both ways",
        "unidirectional": "Corrected one way",
        "none": "Not corrected",
    }

    def cell(found: dict[str, float]) -> str:
        # Not -0.00.
        return f"{round(found['bias'], 2) + 0.0:+.2f} ({found['error']:.2f})"

    table = pd.DataFrame(
        [
            {"Tissue": row["tissue"], "Truth": f"{row['truth']:.1f}"}
            | {name: cell(row[key]) for key, name in names.items()}
            for row in phantom["rows"]
        ]
    )
    page = SITE / "book" / "decisions.md"
    text = page.read_text("utf-8").rstrip("\n") + "\n\n" + pipe_table(table) + "\n"
    page.write_text(text, encoding="utf-8")


def _modules(script: str) -> str:
    paths = [Path(path).relative_to("src") for path in library_files(script)]
    names = (".".join(path.with_suffix("").parts) for path in paths)
    return ", ".join(name for name in names if not name.endswith("__init__"))


def _write_config(description: dict[str, object]) -> None:
    config = yaml.safe_load((ROOT / "_config.yml").read_text("utf-8"))
    shown = ". ".join(str(description[key]) for key in ("Name", "DataLabel") if key in description)
    sphinx = config["sphinx"]["config"]
    # The theme fetches an announcement that begins with http; this one never does.
    announcement = f"<span>Dataset: {html.escape(shown)}</span>"
    sphinx["html_theme_options"]["announcement"] = announcement
    # Paths of local extensions are relative to the configuration.
    here = os.path.relpath(ROOT / "workflow", SITE)
    extensions = ("citation_roles", "not_estimable", "without_thebe")
    config["sphinx"]["local_extensions"] = dict.fromkeys(extensions, here)
    url = _repository()
    if url:
        config["repository"] = {"url": url, "branch": "main", "path_to_book": ""}
        config["html"].update(use_repository_button=True, use_issues_button=True)
        config["launch_buttons"]["binderhub_url"] = "https://mybinder.org"
    (SITE / "_config.yml").write_text(yaml.safe_dump(config, allow_unicode=True), encoding="utf-8")


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
