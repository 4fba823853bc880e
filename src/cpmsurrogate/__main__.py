"""Command line: ``python -m cpmsurrogate --seed 7 --out FOLDER``.

Exit status 0 if the cohort gives every printed value that is not proved impossible; 1 if it misses
one (0 with ``--allow-misses``); 2 if the printed values contradict each other or the arguments are
wrong.
"""

from __future__ import annotations

import os

# Two threads on matrices of this size only wait for each other. Set before NumPy is loaded, which
# is why the imports follow.
# ruff: noqa: E402
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

import cpmlib
from cpmlib.paper.feasibility import bounds
from cpmlib.study.dataset import write_dataset
from cpmlib.study.errors import DatasetError
from cpmlib.study.options import AnalysisOptions
from cpmlib.study.published import read_published
from cpmlib.study.schemas import CALIBRATED, RELATION
from cpmsurrogate.calibration.cohort import LABEL, Calibration, Step, calibrate
from cpmsurrogate.calibration.contradictions import find_contradictions
from cpmsurrogate.calibration.targets import make_targets
from cpmsurrogate.recipe import Recipe

PUBLISHED = Path("data/published-values.tsv")
BAR = 30
LINES_APART = 50
"""Iterations between two lines of progress where the output is no terminal."""


class ProgressBar:
    """Says on standard error how many printed values are met.

    A terminal gets one line that is rewritten, a file a line now and then.
    """

    def __init__(self, stream=None) -> None:  # type: ignore[no-untyped-def]
        self.stream = stream or sys.stderr
        self.live = self.stream.isatty()

    def __call__(self, step: Step) -> None:
        """Show a step."""
        if not self.live and step.iteration % LINES_APART:
            return
        text = describe_step(step)
        self.stream.write(f"\r{text}" if self.live else f"{text}\n")
        self.stream.flush()

    def close(self) -> None:
        """End the line."""
        if self.live:
            self.stream.write("\n")


def describe_step(step: Step) -> str:
    """Return the line of progress for a step.

    Examples
    --------
    >>> describe_step(Step(1, 50, 60, 143, 2, 1.0))
    '[###############...............]  60 of 143 printed values met (attempt 1, iteration 50)'
    """
    full = BAR * step.met // max(step.total, 1)
    bar = "#" * full + "." * (BAR - full)
    place = f"attempt {step.attempt}, iteration {step.iteration}"
    return f"[{bar}] {step.met:3d} of {step.total} printed values met ({place})"


def describe_dataset(recipe: Recipe, of_paper: bool) -> dict[str, object]:
    """Return the content of ``dataset_description.json``.

    ``of_paper`` says whether this paper's printed values were met, not another table's.
    """
    relation = {RELATION: CALIBRATED} if of_paper else {}
    return {
        "Name": f"Surrogate cohort, seed {recipe.seed}",
        "BIDSVersion": "1.10.0",
        "DatasetType": "raw",
        "License": "CC0",
        "GeneratedBy": [
            {
                "Name": "cpmsurrogate",
                "Version": cpmlib.__version__,
                "Description": "Calibrated to printed values; see data/surrogate_recipe.json.",
            }
        ],
        "DataLabel": LABEL,
        **relation,
    }


def write_report(folder: Path, result: Calibration) -> None:
    """Write the trace, the check of every printed value and our conditions as tables.

    Numbers are rounded, so that the files are the same on every processor.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tables = {"trace": result.trace, "checks": result.checks, "conditions": result.conditions}
    for name, table in tables.items():
        text = table.to_csv(sep="\t", index=False, float_format="%.4g", lineterminator="\n")
        (folder / f"{name}.tsv").write_text(text, encoding="utf-8", newline="\n")


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m cpmsurrogate", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="dataset folder to write")
    parser.add_argument("--seed", type=int, help="seed, instead of the recipe's")
    parser.add_argument("--recipe", type=Path, help="recipe file; the defaults if left out")
    parser.add_argument(
        "--published",
        type=Path,
        default=PUBLISHED,
        help="table of printed values (default: %(default)s)",
    )
    parser.add_argument(
        "--option", action="append", default=[], metavar="NAME=VALUE", help="analysis option"
    )
    parser.add_argument("--attempts", type=int, help="skeletons to try at most")
    parser.add_argument("--report", type=Path, help="folder for trace and checks")
    parser.add_argument("--allow-misses", action="store_true", help="accept an incomplete cohort")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    arguments = _arguments(argv)
    try:
        published = read_published(arguments.published)
        recipe = Recipe.read(arguments.recipe) if arguments.recipe else Recipe()
        for name in ("seed", "attempts"):
            value = getattr(arguments, name)
            if value is not None:
                recipe = dataclasses.replace(recipe, **{name: value})
        pairs = dict(text.split("=", 1) for text in arguments.option)
        options = AnalysisOptions.from_mapping(pairs)
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    found = find_contradictions(make_targets(published))
    for contradiction in found:
        print(f"contradiction: {contradiction}", file=sys.stderr)
    for bound in bounds(published).values():
        if bound.contradicted:
            print(f"not sought: {bound.id}: {bound.explanation}", file=sys.stderr)
    if found and not arguments.allow_misses:
        return 2
    bar = ProgressBar()
    try:
        result = calibrate(published, recipe, options, None if arguments.quiet else bar)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    bar.close()
    try:
        description = describe_dataset(recipe, arguments.published.resolve() == PUBLISHED.resolve())
        write_dataset(arguments.out, result.participants, result.samples, description)
    except DatasetError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if arguments.report:
        write_report(arguments.report, result)
    return _conclude(result, arguments.allow_misses)


def _conclude(result: Calibration, allowed: bool) -> int:
    total = len(result.checks)
    print(f"{result.n_met} of {total} printed values met; skeletons tried: {result.attempts}")
    missed: pd.DataFrame = result.missed
    for row in missed.itertuples():
        print(f"missed: {row.id}: printed {row.printed}, found {row.value:.6g}, by {row.miss:.3g}")
    return 1 if len(missed) and not allowed else 0


if __name__ == "__main__":
    raise SystemExit(main())
