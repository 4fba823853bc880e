"""Tables of `benchmarks/results` on the pages."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd

from cpmlib.book import measured
from cpmlib.book.markup import pipe_table
from dependencies import ROOT


def write_measurements(book: Path) -> None:
    """Show the committed measurements: of speed, and how near each leakage correction comes."""
    names = ("statistics", "cpm", "roi", "perfusion", "book", "pages")
    folder = ROOT / "benchmarks" / "results"
    read = {name: json.loads((folder / f"{name}.json").read_text("utf-8")) for name in names}
    page = book / "speed.md"
    parts = [page.read_text("utf-8"), "## Statistics\n"]
    parts += [pipe_table(measured.statistics_speed(read["statistics"])), "\n## Images\n"]
    parts += [pipe_table(measured.image_speed(read["cpm"], read["roi"], read["perfusion"]))]
    builds = pd.DataFrame(read["book"]["rows"])
    parts += [
        "\n## Building the book\n",
        measured.speed_of_machine(read["book"]["machine"]),
        measured.over_limit(builds),
        "",
        pipe_table(builds.astype(str)),
        "\n## Reading the pages\n",
        measured.speed_of_machine(read["pages"]["machine"]),
        "",
        pipe_table(measured.page_speed(read["pages"])),
        "",
    ]
    page.write_text("\n".join(parts), encoding="utf-8")
    page = book / "decisions.md"
    table = pipe_table(measured.leakage_accuracy(read["perfusion"]))
    page.write_text(f"{page.read_text('utf-8').rstrip()}\n\n{table}\n", encoding="utf-8")
