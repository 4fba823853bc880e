r"""Which samples are meant to be outliers of which line.

Whether a sample is excluded decides what slope, R2 and RMSE are taken of, so it is settled before
the numbers are searched, and the search then keeps it so. Two arguments settle it for the
representative cases, whose measurements are printed:

- arithmetic: the squared errors of the cases in a subset cannot exceed n RMSE^2, so the one with
  the largest error must have been left out;
- scatter: a case whose distance from the line that the moments imply exceeds the critical value
  of its rank is an outlier.

Further outliers can be prescribed (see `cpmsurrogate.calibration.cohort.Recipe`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from cpmlib.statistics.rout import critical_values
from cpmsurrogate.calibration.equations import r2_interval
from cpmsurrogate.calibration.moments import Moments
from cpmsurrogate.calibration.rows import OUTCOME, VARIABLES
from cpmsurrogate.calibration.targets import PREDICTORS, SUBSETS, Target, select

CLEARLY = 1.1
"""How far beyond the critical value a case must lie, the moments being only estimates."""

BARELY = 0.25
"""Share of the printed R2's interval that must agree with the printed p."""

Sets = dict[tuple[str, str], set[int]]
"""(subset, predictor) to the samples that are outliers there."""


def forced_by_rmse(
    targets: Mapping[str, Target],
    subsets: Mapping[str, np.ndarray],
    points: Mapping[int, Sequence[float]],
) -> Sets:
    """Cases that a printed RMSE cannot contain.

    ``points`` holds CPM, ADC and H&E of the cases. The RMSE of a group that has no line of its own
    leaves out the outliers of the whole cohort.

    Examples
    --------
    >>> from cpmlib.study.published import parse_printed
    >>> target = Target("corr.whole.cpm.rmse", "whole", "100", "", parse_printed("100"))
    >>> forced_by_rmse({target.id: target}, {"whole": np.ones(4, bool)}, {0: (500, 900, 900)})
    {('whole', 'cpm'): {0}}
    """
    found: Sets = {}
    printed = [(t, SUBSETS[t.parts[1]]) for t in select(targets, "corr", "*", "cpm", "rmse")]
    printed += [(t, t.subset) for t in select(targets, "hgg", "non_enhancing", "rmse")]
    for target, subset in printed:
        member = subsets.get(subset)
        if member is None:
            continue
        line = subset if subset in SUBSETS.values() else "whole"
        error = {i: (v[2] - v[0]) ** 2 for i, v in points.items() if member[i]}
        n = int(member.sum())
        while error and sum(error.values()) > n * target.value.high**2:
            worst = max(error, key=lambda i: error[i])
            found.setdefault((line, "cpm"), set()).add(worst)
            del error[worst]
            n -= 1
    return found


def beyond_scatter(
    moments: Moments,
    subsets: Mapping[str, np.ndarray],
    cases: Mapping[int, Sequence[float]],
    q: float,
) -> Sets:
    """Cases farther from the line that the moments imply than ROUT lets pass.

    ``moments`` are those of the treatment groups, a line that of the pooled core; ``cases`` holds
    CPM, ADC and H&E; ``q`` is ROUT's false discovery rate.

    Examples
    --------
    >>> from cpmsurrogate.calibration.moments import USUAL
    >>> everyone = np.ones(20, dtype=bool)
    >>> cases = {3: (1300.0, 1300.0, 9000.0)}
    >>> subsets = {"whole": everyone, "recurrent": everyone}
    >>> sorted(beyond_scatter(Moments({"recurrent": USUAL}), subsets, cases, 0.01))[0]
    ('recurrent', 'adc')
    """
    found: Sets = {}
    for subset in SUBSETS.values():
        groups = [g for g in moments.table if subset in ("whole", g)]
        member = subsets.get(subset)
        if member is None or not groups:
            continue
        size = np.array([int((member & subsets[g]).sum()) for g in groups])
        mean = np.average([moments.mean(g) for g in groups], axis=0, weights=size)
        spread = [
            moments.covariance(g) + np.outer(moments.mean(g) - mean, moments.mean(g) - mean)
            for g in groups
        ]
        covariance = np.average(spread, axis=0, weights=size)
        n = int(member.sum())
        critical = critical_values(n, q)
        for predictor in PREDICTORS:
            v = VARIABLES.index(predictor)
            slope = covariance[v, OUTCOME] / covariance[v, v]
            scatter = np.sqrt(covariance[OUTCOME, OUTCOME] - slope * covariance[v, OUTCOME])
            distance = {
                i: abs(x[OUTCOME] - mean[OUTCOME] - slope * (x[v] - mean[v])) / scatter
                for i, x in cases.items()
                if member[i]
            }
            ordered = sorted(distance, key=lambda i: -distance[i])
            # From the smallest of the cases upwards, each at the rank that it can have at most.
            for k in range(len(ordered), 0, -1):
                if distance[ordered[k - 1]] > CLEARLY * critical[n - k]:
                    found[subset, predictor] = set(ordered[:k])
                    break
    return found


def drop_disagreeing(
    sets: Sets, targets: Mapping[str, Target], subsets: Mapping[str, np.ndarray]
) -> Sets:
    """Drop the sets that leave a number of samples for which R2 and its p barely agree.

    Examples
    --------
    >>> drop_disagreeing({("whole", "cpm"): {1}}, {}, {"whole": np.ones(9, dtype=bool)})
    {('whole', 'cpm'): {1}}
    """
    word_of = {subset: word for word, subset in SUBSETS.items()}
    found: Sets = {}
    for (subset, predictor), samples in sets.items():
        stem = f"corr.{word_of[subset]}.{predictor}"
        r2 = targets.get(f"{stem}.r2")
        n = int(subsets[subset].sum()) - len(samples)
        both = r2_interval(targets, stem, n)
        if r2 is not None and both is not None:
            wide = r2.interval.high - r2.interval.low
            if both.high - both.low < BARELY * wide:
                continue
        found[subset, predictor] = samples
    return found


def choose_further(
    subset: np.ndarray,
    patient: np.ndarray,
    taken: Sequence[int],
    count: int,
    rng: np.random.Generator,
) -> list[int]:
    """Choose samples that become outliers of their subset.

    ``count`` of the subset (N,), of different patients who have other samples, none ``taken``.

    Raises
    ------
    ValueError
        If there are not so many such patients.

    Examples
    --------
    >>> patient = np.array([0, 0, 1, 1, 2])
    >>> found = choose_further(np.ones(5, bool), patient, [0], 2, np.random.default_rng(0))
    >>> sorted(patient[found].tolist())
    [0, 1]
    """
    size = np.bincount(patient)
    chosen: list[int] = []
    for i in rng.permutation(np.flatnonzero(subset)):
        if len(chosen) == count:
            break
        known = {int(patient[j]) for j in chosen}
        if size[patient[i]] > 1 and int(i) not in taken and int(patient[i]) not in known:
            chosen.append(int(i))
    if len(chosen) < count:
        raise ValueError(f"{count} further outliers asked for; only {len(chosen)} patients fit")
    return chosen


def merge(*parts: Mapping[tuple[str, str], set[int]]) -> Sets:
    """Join sets of outliers line by line.

    Examples
    --------
    >>> merge({("whole", "cpm"): {1}}, {("whole", "cpm"): {2}})
    {('whole', 'cpm'): {1, 2}}
    """
    result: Sets = {}
    for part in parts:
        for line, samples in part.items():
            result[line] = result.get(line, set()) | samples
    return result
