"""Analyse the kept cohorts that have the printed values of the paper.

    python workflow/cohorts.py data/cohorts.json build/private/analysed_cohorts.json

They do not depend on the dataset that is built, so this is done once.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from cpmsurrogate.compare import analyse_cohorts
from cpmsurrogate.kept_cohorts import read_cohorts


def main(kept: str, output: str) -> int:
    """Do it; return the exit status."""
    cohorts = read_cohorts(Path(kept)).cohorts.values()
    Path(output).write_text(json.dumps(analyse_cohorts(cohorts)), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
