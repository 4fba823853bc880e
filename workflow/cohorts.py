"""Analyse the kept cohorts that have the printed values of the paper.

    python workflow/cohorts.py data/cohorts.json build/private/cohorts.tsv

They do not depend on the dataset that is built, so this is done once.
"""

from __future__ import annotations

import sys
from pathlib import Path

from cpmlib.study.options import AnalysisOptions
from cpmsurrogate.compare import quantities, write_quantities
from cpmsurrogate.kept_cohorts import read_cohorts


def main(kept: str, output: str) -> int:
    """Do it; return the exit status."""
    options = AnalysisOptions()  # for which the cohorts were made, whatever the book is built with
    cohorts = read_cohorts(Path(kept)).cohorts.values()
    write_quantities(Path(output), {data.name: quantities(data, options) for data in cohorts})
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
