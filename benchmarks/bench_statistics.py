"""Measure the statistics beside the software they replace, in one run on one machine.

usage: python benchmarks/bench_statistics.py [OUTPUT.json]

Compared are one-per-patient resampling and the resampling of whole patients (ROUT, line and rho
each time) with pandas and scipy loops, the random-intercept fit with statsmodels' MixedLM on the
same arrays, and the specifications of the main claims with the whole analysis repeated for each of
them. Ratios are of the medians of one run: they depend little on the machine, the times do.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
import tracemalloc
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import statsmodels.api as sm
from scipy import stats

from cpmlib.paper.analysis import regenerate
from cpmlib.paper.image_variants import Variant
from cpmlib.paper.specifications.run import specifications
from cpmlib.statistics.cluster_bootstrap import resampled_patients
from cpmlib.statistics.mixed_model import fit_random_intercept
from cpmlib.statistics.one_per_patient import monte_carlo
from cpmlib.statistics.resampled_lines import associations
from cpmlib.statistics.rout import rout_line
from cpmlib.study.dataset import read_dataset
from cpmlib.study.options import AnalysisOptions
from machine import machine

SEED = 20250529
DRAWS = 1000
LOOP_DRAWS = 100  # the loop takes as long for each draw, so that fewer of them are enough
TIMED_DESIGNS = 60
FAILURE_DESIGNS = 1000
MANY_DRAWS = 1_000_000
LIKELIHOOD_MARGIN = 1e-4  # log-likelihoods closer than this are one optimum
RESAMPLES = 10_000
LOOP_RESAMPLES = 60
TARGETS = {
    "one_per_patient": 200,
    "mixed_model": 10,
    "specifications": 50,
    "cluster_bootstrap": 20,
}


def cohort(rng: np.random.Generator) -> pd.DataFrame:
    """27 patients with 66 samples, as in the paper."""
    size = np.repeat([1, 2, 3, 4], [5, 9, 9, 4])
    patient = np.repeat(np.arange(len(size)), size)
    x = rng.normal(size=len(patient))
    y = 0.5 * x + 0.5 * rng.normal(size=len(size))[patient] + rng.normal(size=len(patient))
    return pd.DataFrame({"patient": patient, "x": x, "y": y})


def random_design(rng: np.random.Generator) -> pd.DataFrame:
    """An unbalanced design; the patient variance is 0 in one of four."""
    size = rng.integers(1, 5, int(rng.integers(6, 28)))
    size[:2] = 3
    patient = np.repeat(np.arange(len(size)), size)
    x = rng.normal(size=len(patient))
    between = rng.choice([0, 0.3, 1, 3]) * rng.normal(size=len(size))[patient]
    return pd.DataFrame(
        {"patient": patient, "x": x, "y": 0.5 * x + between + rng.normal(size=len(patient))}
    )


def seconds(function: Callable[[], object], repeats: int) -> list[float]:
    """Wall time of each of some calls, after one that is not counted."""
    function()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return times


def loop(data: pd.DataFrame, seed: int) -> list[float]:
    """One sample of each patient by pandas, rho by scipy."""
    draws = np.random.default_rng(seed)
    result = []
    for _ in range(LOOP_DRAWS):
        drawn = data.groupby("patient").sample(1, random_state=draws)
        result.append(stats.spearmanr(drawn["x"], drawn["y"]).statistic)
    return result


def bench_resampling(rng: np.random.Generator) -> dict[str, float]:
    data = cohort(rng)
    x, y, patient = (data[column].to_numpy() for column in ("x", "y", "patient"))

    def ours(n_draws: int = DRAWS) -> np.ndarray:
        return monte_carlo(x, y, patient, n_draws=n_draws, rng=np.random.default_rng(SEED))

    fast = statistics.median(seconds(ours, 30)) / DRAWS
    slow = statistics.median(seconds(lambda: loop(data, SEED), 5)) / LOOP_DRAWS
    tracemalloc.start()
    size = ours(MANY_DRAWS).nbytes
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return {
        "ours_us_per_draw": 1e6 * fast,
        "loop_us_per_draw": 1e6 * slow,
        "ratio": slow / fast,
        "peak_mb_of_a_million_draws": peak / 1e6,
        "of_which_result_mb": size / 1e6,
    }


def resample_in_a_loop(data: pd.DataFrame, seed: int) -> list[tuple[float, float]]:
    """Whole patients by pandas, ROUT one by one, line and rho by scipy."""
    draws = np.random.default_rng(seed)
    parts = dict(list(data.groupby("patient")))
    names = list(parts)
    result = []
    for _ in range(LOOP_RESAMPLES):
        drawn = pd.concat([parts[name] for name in draws.choice(names, len(names))])
        kept = drawn[~rout_line(drawn["x"], drawn["y"]).outlier]
        rho = stats.spearmanr(drawn["x"], drawn["y"]).statistic
        result.append((stats.linregress(kept["x"], kept["y"]).slope, rho))
    return result


def bench_cluster_bootstrap(rng: np.random.Generator) -> dict[str, float]:
    data = cohort(rng)
    x, y = data["x"].to_numpy(), data["y"].to_numpy()

    def ours() -> None:
        draws = np.random.default_rng(SEED)
        for _, index in resampled_patients(data["patient"], RESAMPLES, draws):
            associations(x[index], y[index])

    fast = statistics.median(seconds(ours, 3)) / RESAMPLES
    slow = statistics.median(seconds(lambda: resample_in_a_loop(data, SEED), 3)) / LOOP_RESAMPLES
    return {
        "ours_us_per_resample": 1e6 * fast,
        "loop_us_per_resample": 1e6 * slow,
        "ratio": slow / fast,
    }


def fit_statsmodels(data: pd.DataFrame) -> float:
    """Log-likelihood where MixedLM says that it converged, with finite standard errors; or NaN."""
    design = np.column_stack([np.ones(len(data)), data["x"]])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            fit = sm.MixedLM(data["y"].to_numpy(), design, data["patient"].to_numpy()).fit()
        except (np.linalg.LinAlgError, ValueError):
            return np.nan
        return float(fit.llf) if fit.converged and np.isfinite(fit.bse_fe).all() else np.nan


def fit_ours(data: pd.DataFrame) -> float:
    """Log-likelihood of our fit where its standard errors are finite; or NaN."""
    design = np.column_stack([np.ones(len(data)), data["x"]])
    try:
        fit = fit_random_intercept(design, data["y"].to_numpy(), data["patient"].to_numpy())
    except ValueError:
        return np.nan
    return fit.log_likelihood if np.isfinite(fit.se).all() else np.nan


def bench_mixed_model(rng: np.random.Generator) -> dict[str, float]:
    rows = []
    for _ in range(TIMED_DESIGNS):
        data = random_design(rng)
        fast = statistics.median(seconds(lambda data=data: fit_ours(data), 5))
        slow = statistics.median(seconds(lambda data=data: fit_statsmodels(data), 3))
        rows.append((fast, slow, slow / fast, np.isfinite(fit_statsmodels(data))))
    times = pd.DataFrame(rows, columns=["ours", "statsmodels", "ratio", "converged"])
    designs = [random_design(rng) for _ in range(FAILURE_DESIGNS)]
    ours = np.array([fit_ours(data) for data in designs])
    theirs = np.array([fit_statsmodels(data) for data in designs])
    return {
        "ours_ms": 1e3 * times["ours"].median(),
        "statsmodels_ms": 1e3 * times["statsmodels"].median(),
        "ratio": times["ratio"].median(),
        "lowest_ratio": times["ratio"].min(),
        "ratio_where_statsmodels_converged": times["ratio"][times["converged"]].median(),
        "designs": FAILURE_DESIGNS,
        "our_failures": int(np.isnan(ours).sum()),
        "statsmodels_failures": int(np.isnan(theirs).sum()),
        "our_likelihood_lower": int((ours < theirs - LIKELIHOOD_MARGIN).sum()),
        "statsmodels_likelihood_lower": int((theirs < ours - LIKELIHOOD_MARGIN).sum()),
    }


def bench_specifications() -> dict[str, float]:
    """Each specification, against one whole analysis for it."""
    dataset = read_dataset(Path(__file__).parents[1] / "data" / "surrogate")
    options = AnalysisOptions()

    def ours() -> pd.DataFrame:
        return specifications([Variant(dataset.samples)], options)

    fast = statistics.median(seconds(ours, 3)) / (count := len(ours()))
    slow = statistics.median(seconds(lambda: regenerate(dataset, options), 5))
    return {
        "specifications": count,
        "ours_ms_per_specification": 1e3 * fast,
        "analysis_ms": 1e3 * slow,
        "ratio": slow / fast,
    }


def main(output: Path) -> None:
    rng = np.random.default_rng(SEED)
    result: dict[str, dict] = {
        "machine": machine("numpy", "scipy", "pandas", "statsmodels"),
        "targets": TARGETS,
        "one_per_patient": bench_resampling(rng),
        "mixed_model": bench_mixed_model(rng),
        "specifications": bench_specifications(),
        "cluster_bootstrap": bench_cluster_bootstrap(rng),
    }
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(result, indent=2) + "\n")
    for part, target in TARGETS.items():
        print(f"{part} (ratio wanted: at least {target})")
        for name, value in result[part].items():
            print(f"  {name:<36}{value:>12.4g}")


if __name__ == "__main__":
    default = Path(__file__).parent / "results" / "statistics.json"
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else default)
