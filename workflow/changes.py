"""Tell which values differ between two builds, as Markdown.

    python workflow/changes.py BEFORE AFTER

Both are build/values.json of a build. `make book` compares with its last finished build by itself
and writes build/changes.md.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pandas as pd

from child import ROOT
from cpmlib.statistics.results import CI_HIGH, CI_LOW
from cpmlib.study.published import names_of, read_published
from dependencies import BUILD, SHARED

ENDS = {CI_LOW: "lower end of the 95 % interval", CI_HIGH: "upper end of the 95 % interval"}
DIGITS = range(4, 18)
"""Significant digits: four, or as many as tell the two apart."""


def describe(before: dict[str, Any], after: dict[str, Any], published: pd.DataFrame) -> list[str]:
    """Return the lines of a Markdown text: dataset, options and values that differ.

    Only its first line if nothing does. A value that one side lacks is *n/a* there.
    """
    old, new = before["values"], after["values"]
    both = sorted({*old, *new})
    differ = [id for id in both if old.get(id) != new.get(id)]
    lines = [f"{len(differ)} of {len(both)} values differ."]
    choices = [(name, before[name], after[name]) for name in ("dataset", "options")]
    lines += [
        f"- {name}, {key}: {was.get(key)} before, {now.get(key)} after"
        for name, was, now in choices
        for key in sorted({*was, *now})
        if was.get(key) != now.get(key)
    ]
    if differ:
        lines += ["", "| value | printed | before | after |", "| --- | --- | --- | --- |"]
    for id in differ:
        cells = [*_named(id, published), *_written(old.get(id), new.get(id))]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _named(id: str, published: pd.DataFrame) -> tuple[str, str]:
    """Return a readable name and the printed text; the id of what the paper does not print."""
    own, end = next(
        ((id.removesuffix(e), f", {ENDS[e]}") for e in ENDS if id.endswith(e)), (id, "")
    )
    if own not in published.index:
        return id, ""
    return names_of(published, [own]) + end, "" if end else str(published.loc[own, "printed"])


def _written(before: float | None, after: float | None) -> tuple[str, str]:
    shown = ("", "")
    for digits in DIGITS:
        shown = tuple("n/a" if v is None else f"{v:.{digits}g}" for v in (before, after))
        if shown[0] != shown[1]:
            break
    return shown


def since_last_build() -> str | None:
    """Write build/changes.md, and return its first line; None if nothing changed or is known.

    What is compared with is kept until a build has finished, so that one that failed on the way
    loses nothing.
    """
    shown, last = SHARED / "values.json", BUILD / "values_of_last_build.json"
    known = last.is_file()
    if known and last.read_bytes() == shown.read_bytes():
        return None
    lines = _compare(last, shown) if known else []
    if lines:
        (SHARED / "changes.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    shutil.copyfile(shown, last)
    return lines[0] if lines else None


def _compare(before: Path, after: Path) -> list[str]:
    contents = [json.loads(path.read_text("utf-8")) for path in (before, after)]
    return describe(*contents, read_published(ROOT / "data" / "published-values.tsv"))


if __name__ == "__main__":
    print("\n".join(_compare(*map(Path, sys.argv[1:]))))
