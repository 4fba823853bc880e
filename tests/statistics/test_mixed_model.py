"""Random-intercept fits against lmerTest (see reference/mixed_model.R) and statsmodels."""

from __future__ import annotations

import warnings
from functools import cache

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from cpmlib.statistics.mixed_model import (
    MixedModelFit,
    fit_random_intercept,
    mixed_model_slope,
)
from cpmlib.statistics.profiled_deviance import ProfiledDeviance
from studies import ROOT

REFERENCE = ROOT / "tests" / "reference"

SIX_DIGITS = 5e-7  # half a unit of the sixth significant digit
FOUR_DIGITS = 5e-5  # half a unit of the fourth
SAME_OPTIMUM = 1e-9  # log-likelihoods near 1000 carry 12 digits; R's optimiser loses none of them
R_IN_WORSE_OPTIMUM = {("optima 11", "ML")}  # of lme4's usual start; restarted, R agrees with us


@cache
def r_table() -> pd.DataFrame:
    return pd.read_csv(REFERENCE / "mixed_model.csv").set_index(["name", "estimation"])


@cache
def r_data() -> dict[str, pd.DataFrame]:
    """Patient, x and y of every model in the reference, by name."""
    data = {"sleepstudy": pd.read_csv(REFERENCE / "sleepstudy.csv")}
    cohort = pd.read_csv(REFERENCE / "example_cohort" / "samples.csv")
    arms = {"whole": ["TN", "R"], "naive": ["TN"], "recurrent": ["R"]}
    for subset, kept in arms.items():
        part = cohort[cohort["treatment"].isin(kept)]
        for predictor in ("CPM", "ADC"):
            columns = {"patient": part["patient"], "x": part[predictor], "y": part["HE"]}
            data[f"{subset} {predictor}"] = pd.DataFrame(columns)
    for number, part in pd.read_csv(REFERENCE / "random_designs.csv.gz").groupby("design"):
        data[f"design {number}"] = part
    for number, part in pd.read_csv(REFERENCE / "two_optima.csv").groupby("design"):
        data[f"optima {number}"] = data[f"optima {number} restarted"] = part
    return data


def fit(data: pd.DataFrame, estimation: str = "REML") -> MixedModelFit:
    design = np.column_stack([np.ones(len(data)), data["x"]])
    return fit_random_intercept(design, data["y"], data["patient"], estimation=estimation)


def p_value(ours: MixedModelFit) -> float:
    return float(2 * stats.t.sf(abs(ours.beta[1] / ours.se[1]), ours.df[1]))


def deviations(ours: MixedModelFit, theirs: pd.Series) -> dict[str, float]:
    """Relative deviations from R; an estimate near 0 is measured by its standard error."""
    beta = theirs[["intercept", "slope"]].to_numpy(float)
    se = theirs[["se_intercept", "se_slope"]].to_numpy(float)
    df = theirs[["df_intercept", "df_slope"]].to_numpy(float)
    return {
        "estimate": np.max(np.abs(ours.beta - beta) / np.maximum(np.abs(beta), se)),
        "se": np.max(np.abs(ours.se / se - 1)),
        "variance": abs(ours.var_residual / theirs["var_residual"] - 1),
        "df": np.max(np.abs(ours.df / df - 1)),
        "p": abs(p_value(ours) / theirs["p_slope"] - 1),
    }


def test_sleepstudy_gives_the_published_values() -> None:
    data = r_data()["sleepstudy"]
    row = mixed_model_slope(data["x"], data["y"], data["patient"]).iloc[0]
    # As printed by lmerTest 3.1.3, to the last printed digit but one.
    assert row["estimate"] == pytest.approx(10.46728596, rel=1e-9)
    assert row["se"] == pytest.approx(0.804221429, rel=1e-8)
    assert row["df"] == pytest.approx(161, rel=1e-8)
    assert row["estimate"] / row["se"] == pytest.approx(13.0154278, rel=1e-8)
    assert row["var_patient"] == pytest.approx(1378.17851, rel=1e-7)
    assert row["var_residual"] == pytest.approx(960.45658, rel=1e-8)
    assert fit(data).log_likelihood == pytest.approx(-893.2325427, abs=1e-7)


def test_the_reference_holds_what_it_should() -> None:
    names = r_table().index.get_level_values("name")
    assert set(names) == set(r_data())
    assert sum(name.startswith("design") for name in set(names)) >= 200
    sizes = [part.groupby("patient").size() for part in r_data().values()]
    assert sum((size == 1).any() for size in sizes) > 200  # designs with singletons
    # lme4 calls a fit singular below 1e-4
    assert 50 < (r_table()["theta"] < 1e-4).sum() < 200


@pytest.mark.parametrize("estimation", ["REML", "ML"])
@pytest.mark.parametrize("kind", ["sleepstudy", "cohort", "design", "optima"])
def test_agrees_with_lmertest(kind: str, estimation: str) -> None:
    cohort = ("whole", "naive", "recurrent")
    compared = 0
    for name, data in r_data().items():
        if not name.startswith(cohort if kind == "cohort" else kind):
            continue
        if (name, estimation) in R_IN_WORSE_OPTIMUM:
            continue  # see the test on local optima
        theirs, ours = r_table().loc[(name, estimation)], fit(data, estimation)
        found = deviations(ours, theirs)
        assert found["estimate"] < SIX_DIGITS, name
        assert found["se"] < SIX_DIGITS, name
        assert found["variance"] < SIX_DIGITS, name
        # lmerTest differentiates numerically
        assert found["df"] < FOUR_DIGITS, name
        assert found["p"] < FOUR_DIGITS, name
        compared += 1
    assert compared == {"sleepstudy": 1, "cohort": 6, "design": 240, "optima": 80}[kind] - (
        kind == "optima" and estimation == "ML"
    )


def test_singular_fits_follow_the_documented_convention() -> None:
    checked = 0
    for (name, estimation), theirs in r_table().iterrows():
        if theirs["theta"] >= 1e-4 or (name, estimation) in R_IN_WORSE_OPTIMUM:
            continue
        ours = fit(r_data()[name], estimation)
        assert ours.singular, name
        assert ours.var_patient == 0
        assert (ours.df == ours.n - (2 if estimation == "REML" else 0)).all()
        # lmerTest comes to the same limit by numerical derivatives.
        np.testing.assert_allclose(
            theirs[["df_intercept", "df_slope"]].astype(float), ours.df, 5e-5
        )
        ordinary = stats.linregress(r_data()[name]["x"], r_data()[name]["y"])
        assert ours.beta[1] == pytest.approx(ordinary.slope, rel=1e-9)  # conditioning of raw x
        checked += 1
    assert checked > 50


def test_never_in_a_worse_optimum_than_r_and_says_where_r_is() -> None:
    better = set()
    for (name, estimation), theirs in r_table().iterrows():
        gain = fit(r_data()[name], estimation).log_likelihood - theirs["log_likelihood"]
        assert gain > -SAME_OPTIMUM, f"R is better by {-gain:.3g} in {name}, {estimation}"
        if gain > SAME_OPTIMUM:
            better.add((name, estimation))
    assert better == R_IN_WORSE_OPTIMUM


def random_design(rng: np.random.Generator) -> pd.DataFrame:
    n_patients = int(rng.integers(3, 25))
    size = rng.integers(1, 5, n_patients)
    size[:2] = 3  # enough repeats for scatter within patients
    patient = np.repeat(np.arange(n_patients), size)
    x = rng.normal(size=len(patient)) + rng.choice([0, 2]) * rng.normal(size=n_patients)[patient]
    share = rng.choice([0, 0.1, 0.5, 0.9, 0.999])
    between = np.sqrt(share) * rng.normal(size=n_patients)[patient]
    y = rng.normal() * x + between + np.sqrt(1 - share) * rng.normal(size=len(patient))
    x_unit, y_unit = 10.0 ** rng.uniform(-6, 6, 2)
    columns = {"patient": patient, "x": x * x_unit, "y": (y + rng.normal() * 10) * y_unit}
    return pd.DataFrame(columns)


def test_no_failure_in_a_thousand_random_designs() -> None:
    rng = np.random.default_rng(20250529)
    for number in range(1000):
        data = random_design(rng)
        ours = fit(data, "REML" if number % 2 else "ML")
        assert np.isfinite(ours.beta).all()
        assert (ours.se > 0).all()
        assert ours.var_patient >= 0
        assert ours.var_residual > 0
        assert (ours.df > 0).all()
        # Satterthwaite can exceed n for ML, whose variances ignore the fixed effects.
        assert (ours.df < 10 * ours.n).all()
        assert np.isfinite(ours.log_likelihood)


def test_the_optimum_is_one_on_a_dense_grid() -> None:
    """An independent likelihood (dense matrices) is nowhere above ours."""
    rng = np.random.default_rng(1)
    for reml in (True, False):
        for _ in range(20):
            data = random_design(rng)
            ours = fit(data, "REML" if reml else "ML")
            best = max(
                dense_log_likelihood(data, share, reml=reml) for share in np.linspace(0, 0.9999, 60)
            )
            # Dense inverses of matrices with condition 1e6 keep about nine digits of about 1e3.
            assert ours.log_likelihood >= best - 1e-6


def dense_log_likelihood(data: pd.DataFrame, share: float, *, reml: bool) -> float:
    patient, y = data["patient"].to_numpy(), data["y"].to_numpy()
    design = np.column_stack([np.ones(len(y)), data["x"]])
    n, p = design.shape
    same = (patient[:, None] == patient[None, :]).astype(float)
    v = np.eye(n) + share / (1 - share) * same
    crossed = design.T @ np.linalg.solve(v, design)
    residual = y - design @ np.linalg.solve(crossed, design.T @ np.linalg.solve(v, y))
    dof = n - p if reml else n
    variance = residual @ np.linalg.solve(v, residual) / dof
    deviance = np.linalg.slogdet(v)[1] + dof * (1 + np.log(2 * np.pi * variance))
    if reml:
        deviance += np.linalg.slogdet(crossed)[1]
    return float(-deviance / 2)


@pytest.mark.parametrize("reml", [True, False])
def test_estimates_agree_with_statsmodels_where_it_converges(reml: bool) -> None:
    compared = 0
    for number in range(1, 41):
        data = r_data()[f"design {number}"]
        x = (data["x"] - data["x"].mean()) / data["x"].std()
        y = (data["y"] - data["y"].mean()) / data["y"].std()
        ours = fit(pd.DataFrame({"patient": data["patient"], "x": x, "y": y}), estimate(reml))
        if ours.singular:
            continue  # statsmodels has no boundary
        model = sm.MixedLM(y.to_numpy(), sm.add_constant(x.to_numpy()), data["patient"].to_numpy())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs = model.fit(reml=reml)
        if not theirs.converged or theirs.llf < ours.log_likelihood - 1e-6:
            continue
        # Its optimiser stops at a gradient of about 1e-5.
        # (Its standard errors are of the joint Hessian, another definition than lme4's and ours.)
        np.testing.assert_allclose(ours.beta, theirs.fe_params, atol=1e-4)
        assert ours.var_residual == pytest.approx(theirs.scale, rel=1e-3)
        assert ours.log_likelihood == pytest.approx(theirs.llf, abs=1e-6)
        compared += 1
    assert compared >= 15


def estimate(reml: bool) -> str:
    return "REML" if reml else "ML"


SIX = np.array([0.0, 1, 2, 0, 1, 2])
TWO_PATIENTS = np.repeat([0, 1], 3)


@pytest.mark.parametrize(
    ("x", "y", "patient", "message"),
    [
        (SIX, SIX**2, np.zeros(6), "one patient"),
        (SIX, SIX**2, np.arange(6), "no patient has two samples"),
        (np.ones(6), SIX**2, TWO_PATIENTS, "no unique solution"),
        (np.zeros(6), SIX**2, TWO_PATIENTS, "no unique solution"),
        (SIX, 3 - 2 * SIX, TWO_PATIENTS, "without any scatter"),
        (SIX, np.full(6, 7.3), TWO_PATIENTS, "without any scatter"),
        (SIX, SIX + TWO_PATIENTS, TWO_PATIENTS, "no scatter of their own"),
        (np.array([1.0, 2, 5]), np.array([1.0, 3, 2]), np.array([0, 0, 1]), "cannot be told"),
        (TWO_PATIENTS * 1.0, SIX**2, TWO_PATIENTS, "cannot be told"),
        (SIX, np.append(SIX[:5], np.nan), TWO_PATIENTS, "NaN or infinity"),
        (np.append(SIX[:5], np.inf), SIX, TWO_PATIENTS, "NaN or infinity"),
        (SIX, SIX[:5], TWO_PATIENTS, "lengths differ"),
    ],
)
@pytest.mark.parametrize("estimation", ["REML", "ML"])
def test_says_why_there_is_no_unique_fit(
    x: np.ndarray, y: np.ndarray, patient: np.ndarray, message: str, estimation: str
) -> None:
    design = np.column_stack([np.ones(len(x)), x])
    with pytest.raises(ValueError, match=message):
        fit_random_intercept(design, y, patient, estimation=estimation)


def test_rejects_unknown_choices() -> None:
    design = np.column_stack([np.ones(6), SIX])
    with pytest.raises(ValueError, match="estimation"):
        fit_random_intercept(design, SIX**2, TWO_PATIENTS, estimation="reml")
    with pytest.raises(ValueError, match="estimation"):
        mixed_model_slope(SIX, SIX**2, TWO_PATIENTS, estimation="MLE")
    with pytest.raises(ValueError, match="test is"):
        mixed_model_slope(SIX, SIX**2, TWO_PATIENTS, test="wald")
    with pytest.raises(ValueError, match="lengths differ"):
        mixed_model_slope(SIX, SIX**2, TWO_PATIENTS[:5])


@pytest.mark.parametrize(
    ("x", "y", "patient", "reason"),
    [
        ([1.0, 2], [1.0, 2], [0, 0], "fewer than 3"),
        ([1.0, 1, 1, 1], [1.0, 2, 3, 4], [0, 0, 1, 1], "equal"),
        ([1.0, 2, 3, 4], [1.0, 2, 4, 3], [0, 0, 0, 0], "one patient"),
        ([1.0, 2, 3, 4], [1.0, 2, 4, 3], [0, 1, 2, 3], "no patient has two"),
    ],
)
def test_slope_that_does_not_exist_is_a_row(x: list, y: list, patient: list, reason: str) -> None:
    row = mixed_model_slope(x, y, patient).iloc[0]
    assert np.isnan(row["estimate"])
    assert row["note"].startswith("not estimable")
    assert reason in row["note"]


def test_rows_with_nan_are_left_out() -> None:
    data = r_data()["naive CPM"]
    x = np.append(data["x"], [np.nan, 1.0])
    y = np.append(data["y"], [5.0, np.nan])
    patient = np.append(data["patient"], ["P99", "P98"])
    pd.testing.assert_frame_equal(
        mixed_model_slope(x, y, patient),
        mixed_model_slope(data["x"], data["y"], data["patient"]),
    )


def test_reference_distributions_of_the_slope() -> None:
    data = r_data()["naive CPM"]
    rows = {
        test: mixed_model_slope(data["x"], data["y"], data["patient"], test=test).iloc[0]
        for test in ("satterthwaite", "wald-t", "wald-z")
    }
    t = rows["wald-z"]["estimate"] / rows["wald-z"]["se"]
    assert rows["wald-z"]["p"] == pytest.approx(2 * stats.norm.sf(abs(t)), rel=1e-12)
    assert rows["wald-t"]["p"] == pytest.approx(2 * stats.t.sf(abs(t), len(data) - 2), rel=1e-12)
    r_row = r_table().loc[("naive CPM", "REML")]
    assert rows["satterthwaite"]["p"] == pytest.approx(r_row["p_slope"], rel=FOUR_DIGITS)
    assert rows["satterthwaite"]["intercept"] == pytest.approx(r_row["intercept"], rel=SIX_DIGITS)
    half = stats.t.ppf(0.975, rows["satterthwaite"]["df"]) * rows["satterthwaite"]["se"]
    assert rows["satterthwaite"]["ci_high"] - t * rows["wald-z"]["se"] == pytest.approx(half)


def test_more_than_one_predictor() -> None:
    """Three fixed effects: estimates of statsmodels, covariance by dense matrices."""
    rng = np.random.default_rng(3)
    patient = np.repeat(np.arange(12), 4)
    design = np.column_stack([np.ones(48), rng.normal(size=(48, 2))])
    y = design @ [1, 2, -1] + rng.normal(size=12)[patient] + rng.normal(size=48)
    ours = fit_random_intercept(design, y, patient)
    theirs = sm.MixedLM(y, design, patient).fit()
    # Its optimiser stops at a gradient of about 1e-5.
    np.testing.assert_allclose(ours.beta, theirs.fe_params, atol=1e-5)
    same = patient[:, None] == patient[None, :]
    v = ours.var_residual * np.eye(48) + ours.var_patient * same
    covariance = np.linalg.inv(design.T @ np.linalg.solve(v, design))
    np.testing.assert_allclose(ours.covariance, covariance, rtol=1e-10)  # the same sum twice


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    x_scale=st.floats(1e-4, 1e4),
    y_scale=st.floats(1e-4, 1e4),
    shift=st.floats(-100, 100),
    flip=st.booleans(),
)
def test_slope_follows_units_and_is_blind_to_origins(
    seed: int, x_scale: float, y_scale: float, shift: float, flip: bool
) -> None:
    rng = np.random.default_rng(seed)
    patient = np.repeat(np.arange(8), 3)
    x, y = rng.normal(size=24), rng.normal(size=24) + rng.normal(size=8)[patient]
    before = mixed_model_slope(x, y, patient).iloc[0]
    sign = -1 if flip else 1
    after = mixed_model_slope(sign * x_scale * (x + shift), y_scale * (y - shift), patient).iloc[0]
    # Shifting by 100 standard deviations costs two digits of x and y, four of their squares;
    # near the boundary the variance ratio answers to them with its square root.
    unit = y_scale / x_scale
    margin = 1e-6 * before["se"]
    assert after["estimate"] / unit == pytest.approx(sign * before["estimate"], abs=margin)
    assert after["se"] / unit == pytest.approx(before["se"], rel=1e-6)
    assert after["p"] == pytest.approx(before["p"], rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("tilt", [1e3, 1e6, 1e9])
def test_a_steep_line_costs_no_digits_beyond_those_of_the_outcome(tilt: float) -> None:
    data = r_data()["design 1"]
    x = (data["x"] - data["x"].mean()) / data["x"].std()
    y = (data["y"] - data["y"].mean()) / data["y"].std()
    plain = mixed_model_slope(x, y, data["patient"]).iloc[0]
    steep = mixed_model_slope(x, y + tilt * x, data["patient"]).iloc[0]
    # The outcome itself keeps its scatter to 1e-16 * tilt; a hundred times that.
    assert steep["se"] == pytest.approx(plain["se"], rel=1e-14 * tilt)
    assert steep["var_patient"] == pytest.approx(plain["var_patient"], rel=1e-13 * tilt, abs=1e-9)
    assert steep["estimate"] - tilt == pytest.approx(plain["estimate"], abs=1e-14 * tilt)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_order_and_names_of_patients_do_not_matter(seed: int) -> None:
    rng = np.random.default_rng(seed)
    patient = np.repeat(np.arange(7), [1, 2, 3, 4, 1, 2, 3])
    x, y = rng.normal(size=16), rng.normal(size=16) + rng.normal(size=7)[patient]
    before = mixed_model_slope(x, y, patient).iloc[0]
    order = rng.permutation(16)
    names = np.array([f"sub-{k}" for k in rng.permutation(7)])
    after = mixed_model_slope(x[order], y[order], names[patient[order]]).iloc[0]
    # Sums in another order differ in the last digits.
    for column, margin in (("estimate", before["se"]), ("se", before["se"]), ("p", 1)):
        assert after[column] == pytest.approx(before[column], abs=1e-8 * margin), column


@pytest.mark.parametrize("reml", [True, False])
def test_a_stack_is_fitted_as_each_alone(reml: bool) -> None:
    rng = np.random.default_rng(5)
    patient = np.repeat(np.arange(14), [1, 2, 3, 4, 1, 2, 3, 4, 2, 3, 2, 1, 3, 2])
    x = rng.normal(size=(30, len(patient)))
    spread = rng.choice([0, 0.5, 1.5], (30, 1))
    y = x + rng.normal(size=x.shape) + spread * rng.normal(size=(30, 14))[:, patient]
    design = np.stack([np.ones_like(x), x], axis=-1)
    stack = ProfiledDeviance(design, y, patient, reml)
    ratio = stack.best_ratios()[:, None]
    at = stack.derivatives(ratio)
    df = stack.satterthwaite(ratio, at)
    for k in range(30):
        alone = fit_random_intercept(design[k], y[k], patient, estimation=estimate(reml))
        # Newton's ten steps leave eight digits of the ratio, of which df keeps six.
        assert at.beta[k, 0] == pytest.approx(alone.beta, rel=1e-6)
        assert df[k, 0] == pytest.approx(alone.df, rel=1e-5)
        assert at.rss[k, 0] / stack.dof == pytest.approx(alone.var_residual, rel=1e-6)
