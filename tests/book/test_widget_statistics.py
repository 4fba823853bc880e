"""The statistics of moving figures, run in Chromium, against the library on random data sets."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from cpmlib.statistics.correlation import correlate, linear_fit, root_mean_square
from cpmlib.statistics.meng import compare_strength
from cpmlib.statistics.rout import critical_values, rout_line
from studies import ROOT

pytestmark = pytest.mark.browser

SCRIPT = ROOT / "src" / "cpmlib" / "book" / "statistics.js"
SETS = 1000
TOLERANCE = 1e-9


@pytest.fixture(scope="module")
def data_sets() -> list[dict]:
    """Data sets of 4 to 90 samples: near a line, a third with ties, half with samples far off."""
    rng = np.random.default_rng(20)
    made = []
    for i in range(SETS):
        n = int(rng.integers(4, 91))
        x = rng.gamma(4, 400, n)
        y = 300 + rng.normal(0.8, 0.5) * x + rng.normal(0, 300, n)
        adc = 1500 - 0.2 * y + rng.normal(0, 200, n)
        if i % 2:
            far = rng.integers(n, size=max(1, n // 10))
            y[far] += rng.normal(0, 3000, len(far))
        if i % 3 == 0:
            x, y, adc = (np.round(v, -2) for v in (x, y, adc))
        q = float(rng.choice([0.001, 0.01, 0.05, 0.1]))
        made.append({"x": x.tolist(), "y": y.tolist(), "adc": adc.tolist(), "q": q})
    return made


@pytest.fixture(scope="module")
def found(browser, data_sets) -> list[dict]:
    page = browser.new_page()
    page.add_script_tag(path=SCRIPT)
    result = page.evaluate(
        """sets => sets.map(({x, y, adc, q}) => {
            const s = cpmStatistics, rout = s.rout(x, y, q);
            const keep = v => v.filter((_, i) => !rout.outlier[i]);
            return {
                rout, line: s.line(keep(x), keep(y)), rho: s.spearman(x, y), r: s.pearson(x, y),
                rmse: s.rmse(keep(x), keep(y)), z: s.mengZ(y, x, adc),
                zr: s.mengZ(y, x, adc, "pearson"),
            };
        })""",
        data_sets,
    )
    page.close()
    return result


def close(a, b, scale=1.0) -> bool:
    """Whether two numbers agree, relative to a scale; both may be missing."""
    return bool(np.allclose(a, b, rtol=0, atol=TOLERANCE * scale, equal_nan=True))


def test_the_robust_line_and_its_outliers(data_sets, found):
    some = 0
    for data, row in zip(data_sets, found, strict=True):
        x, y = np.array(data["x"]), np.array(data["y"])
        expected, rout = rout_line(x, y, data["q"]), row["rout"]
        assert rout["settled"]
        # Intercept and residuals are lengths along y: the scatter is their scale.
        scale = max(expected.rsdr, 1e-3)
        line = np.array([rout["intercept"], rout["slope"]])
        assert close(line[0] + line[1] * x, expected.coefficients @ [np.ones_like(x), x], scale)
        assert close(rout["residual"], expected.residual, scale)
        assert close(rout["rsdr"] / scale, expected.rsdr / scale)
        assert rout["outlier"] == expected.outlier.tolist()
        some += expected.outlier.any()
    assert SETS / 10 < some < SETS * 9 / 10


def test_what_lies_beyond_the_limit_is_an_outlier(data_sets, found):
    for data, row in zip(data_sets, found, strict=True):
        rout, n = row["rout"], len(data["x"])
        count = sum(rout["outlier"])
        tested = np.isfinite(critical_values(n, data["q"])).sum()
        if count < tested:
            beyond = np.abs(rout["residual"]) > rout["limit"]
            assert beyond.tolist() == rout["outlier"]


def test_line_correlations_error_and_meng(data_sets, found):
    for data, row in zip(data_sets, found, strict=True):
        x, y, adc = (np.array(data[key]) for key in ("x", "y", "adc"))
        kept = ~np.array(row["rout"]["outlier"])
        fit = linear_fit(x[kept], y[kept]).iloc[0]
        spread = np.ptp(y)
        assert close(row["line"][1], fit["estimate"])
        assert close(row["line"][0], fit["intercept"], spread)
        assert close(row["rho"], correlate(x, y)["estimate"])
        assert close(row["r"], correlate(x, y, method="pearson")["estimate"])
        assert close(row["rmse"], root_mean_square(y[kept] - x[kept]), spread)
        for key, method in (("z", "spearman"), ("zr", "pearson")):
            expected = compare_strength(y, x, adc, correlation=method).iloc[0].get("z", np.nan)
            # Near a perfect correlation artanh multiplies what rounding does.
            assert close(row[key], expected, max(1.0, abs(expected)) if expected == expected else 1)


def test_student_t(browser):
    page = browser.new_page()
    page.add_script_tag(path=SCRIPT)
    rng = np.random.default_rng(3)
    t, df = rng.exponential(4, SETS), rng.integers(1, 200, SETS)
    p = page.evaluate(
        "([t, df]) => t.map((v, i) => cpmStatistics.tTwoTailed(v, df[i]))",
        [t.tolist(), df.tolist()],
    )
    np.testing.assert_allclose(p, 2 * stats.t.sf(t, df), rtol=TOLERANCE)
    back = page.evaluate(
        "([p, df]) => p.map((v, i) => cpmStatistics.tCritical(v, df[i]))", [p, df.tolist()]
    )
    np.testing.assert_allclose(back, t, rtol=TOLERANCE)
    page.close()


def test_samples_without_a_statistic(browser):
    page = browser.new_page()
    page.add_script_tag(path=SCRIPT)
    assert page.evaluate("""() => {
        const s = cpmStatistics, same = [1, 1, 1, 1], up = [1, 2, 3, 4];
        return [s.line([1, 2], [1, 2])[1], s.spearman(same, up), s.rmse([1], [2]),
                s.mengZ(up, up, [2, 1, 4, 3]), s.rout(same, up, 0.01).slope].every(Number.isNaN);
    }""")
    page.close()
