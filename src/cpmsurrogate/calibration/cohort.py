"""The calibration from the printed values to a finished cohort.

The steps, each in its own module: contradictions among the printed values; a skeleton of patients
and samples; the outliers that are meant; a start from moments; the joint solve on the grid of the
table; nuclei, areas and coordinates. A skeleton on which the solve does not succeed is dropped and
the next one is drawn from the same stream of random numbers. The library's own analysis of the
finished tables has the last word on which values are met.

Vocabulary
----------
- *sought*: the printed values without those that `cpmlib.paper.feasibility` proves impossible.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from cpmlib.paper.analysis import regenerate
from cpmlib.paper.feasibility import bounds
from cpmlib.study.dataset import Dataset
from cpmlib.study.options import AnalysisOptions
from cpmsurrogate.calibration import moments as start_moments
from cpmsurrogate.calibration.equations import Equations
from cpmsurrogate.calibration.outlier_sets import (
    Sets,
    beyond_scatter,
    choose_further,
    drop_disagreeing,
    forced_by_rmse,
    merge,
)
from cpmsurrogate.calibration.rows import Frame, Row
from cpmsurrogate.calibration.skeleton import draw_skeleton
from cpmsurrogate.calibration.solve import Progress, Search
from cpmsurrogate.calibration.system import System
from cpmsurrogate.calibration.tables import make_tables
from cpmsurrogate.calibration.targets import PREDICTORS, SUBSETS, Target, make_targets, select
from cpmsurrogate.recipe import Recipe

LABEL = "SYNTHETIC DATA: no patient was measured"

SETTLING_ROUNDS = 4
"""Times that moments and outlier sets are worked out from each other."""


@dataclass(frozen=True)
class Step:
    """One iteration as the trace and the progress bar show it.

    Attempts count from 1, iterations from 0; ``met`` of the ``total`` printed values hold, and
    ``conditions`` of ours do not.
    """

    attempt: int
    iteration: int
    met: int
    total: int
    conditions: int
    merit: float


@dataclass
class Calibration:
    """A finished cohort and how it was found.

    Parameters
    ----------
    participants, samples
        The tables, as the schemas say.
    checks, conditions
        One row a printed value, with its ``miss`` (how far outside the rounding interval, 0
        inside); one row for each condition of ours.
    trace
        One row an iteration, with the fields of `Step`.
    attempts
        Skeletons tried.
    """

    participants: pd.DataFrame
    samples: pd.DataFrame
    checks: pd.DataFrame
    conditions: pd.DataFrame
    trace: pd.DataFrame
    attempts: int

    @property
    def missed(self) -> pd.DataFrame:
        """The sought values that the cohort misses."""
        return self.checks[self.checks["sought"] & (self.checks["miss"] > 0)]

    @property
    def n_met(self) -> int:
        """Printed values that the library's analysis of the cohort gives."""
        return int((self.checks["miss"] == 0).sum())


def calibrate(
    published: pd.DataFrame,
    recipe: Recipe,
    options: AnalysisOptions | None = None,
    report: Callable[[Step], None] | None = None,
) -> Calibration:
    """Find a cohort that gives the printed values.

    Parameters
    ----------
    published
        As `cpmlib.study.published.read_published` returns it.
    options
        The analysis under which the values are to be met; the project's default if None.
    report
        Called after every iteration.

    Returns
    -------
    Calibration
        The first cohort that meets all that is sought; after the last attempt, the best one.

    Raises
    ------
    ValueError
        If no skeleton can meet the printed counts, or the analysis leaves samples unclassified.

    Examples
    --------
    >>> texts = {"t1.n_patients": "8", "t1.n_samples": "24", "desc.cpm_mean": "1310",
    ...          "corr.whole.cpm.rho": "0.45"}
    >>> published = pd.DataFrame({"printed": texts.values()}, index=list(texts))
    >>> published = published.assign(where="", statistic="", subset="", note="")
    >>> calibrate(published, Recipe(seed=1)).n_met
    4
    """
    options = options or AnalysisOptions()
    if options.grade_grouping != "all":
        raise ValueError("the calibration needs grade_grouping 'all': every sample is classified")
    targets = make_targets(published)
    impossible = {id for id, bound in bounds(published).items() if bound.contradicted}
    rng = np.random.default_rng(recipe.seed)
    steps: list[Step] = []
    tried: list[Attempt] = []

    def note(progress: Progress) -> None:
        steps.append(tried[-1].step(len(tried), progress))
        if report is not None:
            report(steps[-1])

    while len(tried) < recipe.attempts:
        tried.append(Attempt(targets, impossible, options, recipe, rng))
        attempt = tried[-1]
        attempt.solve(note, thorough=len(tried) > recipe.attempts - recipe.thorough)
        if attempt.complete():
            attempt.finish()
            if not attempt.missed():
                break
    else:
        attempt = min(tried, key=Attempt.rank)
        attempt.finish()
    return Calibration(
        attempt.participants,
        attempt.samples,
        attempt.checks,
        attempt.conditions(),
        pd.DataFrame([vars(step) for step in steps]),
        len(tried),
    )


class Attempt:
    """One skeleton and what the search makes of it."""

    def __init__(
        self,
        targets: Mapping[str, Target],
        impossible: set[str],
        options: AnalysisOptions,
        recipe: Recipe,
        rng: np.random.Generator,
    ) -> None:
        self.targets, self.impossible = targets, impossible
        self.options, self.recipe, self.rng = options, recipe, rng
        self.skeleton = draw_skeleton(targets, rng)
        self.subsets = self.skeleton.subsets()
        self.sought = {id: t for id, t in targets.items() if id not in impossible}
        self.cases = {
            i: self.skeleton.cases[name].measured
            for i, name in enumerate(self.skeleton.case)
            if name is not None
        }
        self._settle_outliers()
        self.system = System(self.frame, self._rows())
        self.finished = False

    def _rows(self) -> list[Row]:
        """Equations of the present frame."""
        method = self.options.mann_whitney_method
        return Equations(self.sought, self.frame, self.recipe.plausibility, method).rows

    def _lines(self) -> list[tuple[str, str]]:
        """Lines that a printed value speaks of."""
        found = [
            (SUBSETS[word], predictor)
            for word in SUBSETS
            for predictor in PREDICTORS
            if select(self.targets, "corr", word, predictor, "*")
        ]
        if select(self.targets, "hgg", "non_enhancing", "rmse"):
            found.append(("whole", "cpm"))
        return [line for line in dict.fromkeys(found) if line[0] in self.subsets]

    def _make_frame(self, sets: Sets) -> Frame:
        n = len(self.skeleton.patient)
        kept = {}
        for line in self._lines():
            outliers = np.isin(np.arange(n), sorted(sets.get(line, set())))
            kept[line] = self.subsets[line[0]] & ~outliers
        rmse_masks = {}
        if self.options.rmse_excludes_outliers:
            rmse_masks = {subset: mask for (subset, v), mask in kept.items() if v == "cpm"}
            if ("whole", "cpm") in kept:
                for name in self.subsets:
                    if name not in SUBSETS.values():
                        rmse_masks[name] = self.subsets[name] & kept["whole", "cpm"]
        return Frame(
            patient=self.skeleton.patient,
            subsets=self.subsets,
            kept=kept,
            rho_kept=self.options.spearman_excludes_outliers,
            mixed_kept=self.options.mixed_model_excludes_outliers,
            rmse_masks=rmse_masks,
            rout_q=self.options.rout_q,
            reml=self.options.mixed_model_estimation == "REML",
            mixed_test=self.options.mixed_model_test,
            meng=self.options.meng_correlation,
        )

    def _settle_outliers(self) -> None:
        """Choose the outliers, fit the moments, and let each correct the other."""
        further: Sets = {}
        self.points = dict(self.cases)
        for word, count in self.recipe.further_outliers.items():
            subset = SUBSETS[word]
            samples = choose_further(
                self.subsets[subset], self.skeleton.patient, list(self.points), count, self.rng
            )
            for sample in samples:
                self.points[sample] = start_moments.guess_outlier(self.rng)
            for predictor in PREDICTORS:
                further[subset, predictor] = set(samples)
        sets: Sets = {}
        if self.options.rout_q > 0:
            forced: Sets = {}
            if self.options.rmse_excludes_outliers:
                forced = forced_by_rmse(self.sought, self.subsets, self.cases)
            # Judged first against the line of everyone else, then against the line that results.
            everyone = {line: set(self.cases) for line in self._lines()}
            sets = merge(further, forced, everyone)
        for _ in range(SETTLING_ROUNDS):
            self.frame = self._make_frame(sets)
            self.moments = start_moments.fit_moments(self.frame, self._rows(), self.points)
            if self.options.rout_q == 0:
                break
            scattered = beyond_scatter(self.moments, self.subsets, self.cases, self.options.rout_q)
            agreeing = drop_disagreeing(scattered, self.sought, self.subsets)
            settled = merge(further, forced, agreeing)
            if settled == sets:
                break
            sets = settled
        self.sets = sets
        self.frame = self._make_frame(sets)

    def solve(self, report: Callable[[Progress], None], *, thorough: bool = False) -> None:
        """Search from a drawn start."""
        start = start_moments.draw_start(
            self.frame, self.system.rows, self.points, self.moments, self.rng
        )
        free = np.ones(start.shape, dtype=bool)
        free[:, list(self.cases)] = False
        search = Search(
            self.system, free, self.recipe.plausibility.bounds, self.rng, self.recipe.search
        )
        self.solution = search.run(start, report, thorough=thorough)

    def step(self, number: int, progress: Progress) -> Step:
        """Count what holds."""
        violated = [r for r, no in zip(self.system.rows, progress.violated, strict=True) if no]
        missed = {id for row in violated for id in row.ids}
        total = len(self.targets)
        return Step(
            attempt=number,
            iteration=progress.iteration,
            met=total - len(missed | self.impossible),
            total=total,
            conditions=sum(not row.ids for row in violated),
            merit=progress.merit,
        )

    def rank(self) -> tuple[int, int, float]:
        """Printed values missed, conditions missed, merit: less is better."""
        last = self.step(0, Progress(0, self.solution.violated, self.solution.merit))
        return last.total - last.met, last.conditions, last.merit

    def complete(self) -> bool:
        """Whether every row holds."""
        return not self.solution.violated.any()

    def missed(self) -> bool:
        """Whether the library's analysis misses a sought value."""
        return bool((self.checks["sought"] & (self.checks["miss"] > 0)).any())

    def finish(self) -> None:
        """Make the tables and let the library analyse them."""
        if self.finished:
            return
        self.finished = True
        self.participants, self.samples = make_tables(self.skeleton, self.solution.cohort, self.rng)
        joined = self.samples.merge(self.participants, on="participant_id", validate="many_to_one")
        values = regenerate(Dataset(self.participants, joined, "", LABEL), self.options)
        checks = pd.DataFrame(
            {
                "id": list(self.targets),
                "printed": [target.printed for target in self.targets.values()],
                "value": [values.get(id, float("nan")) for id in self.targets],
            }
        )
        self.checks = checks.assign(
            miss=list(map(Target.miss, self.targets.values(), checks["value"])),
            sought=~checks["id"].isin(self.impossible),
        )

    def conditions(self) -> pd.DataFrame:
        """Our own conditions with their values."""
        self.system.follow(self.solution.cohort, exact=True)
        values = self.system.values(self.solution.cohort[None])[0]
        return pd.DataFrame(
            [
                (*row.quantity[:3], value, row.low, row.high)
                for row, value in zip(self.system.rows, values, strict=True)
                if not row.ids
            ],
            columns=["condition", "subset", "variable", "value", "low", "high"],
        )
