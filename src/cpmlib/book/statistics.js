/* The statistics that a moving figure needs at once, as cpmlib.statistics computes them.

   Arrays of finite numbers in, numbers out; NaN where a statistic does not exist. A test compares
   each function with the library on a thousand random data sets. */
const cpmStatistics = (() => {
  const sum = values => values.reduce((total, value) => total + value, 0);
  const mean = values => sum(values) / values.length;
  const constant = values => values.every(value => value === values[0]);
  const PERFECT = 1 - 1e-12;

  /* Intercept and slope of the weighted least-squares line. */
  const weightedLine = (x, y, weight) => {
    const total = sum(weight);
    const mx = sum(x.map((v, i) => weight[i] * v)) / total;
    const my = sum(y.map((v, i) => weight[i] * v)) / total;
    let sxx = 0, sxy = 0;
    for (let i = 0; i < x.length; i++) {
      sxx += weight[i] * (x[i] - mx) ** 2;
      sxy += weight[i] * (x[i] - mx) * (y[i] - my);
    }
    return [my - sxy / sxx * mx, sxy / sxx];
  };

  const line = (x, y) => x.length < 3 || constant(x) || constant(y)
    ? [NaN, NaN] : weightedLine(x, y, x.map(() => 1));

  /* Percentile, linear between neighbours, as NumPy's. */
  const percentile = (values, percent) => {
    const sorted = [...values].sort((a, b) => a - b);
    const at = percent / 100 * (sorted.length - 1), low = Math.floor(at);
    const next = sorted[Math.min(low + 1, sorted.length - 1)];
    return sorted[low] + (at - low) * (next - sorted[low]);
  };

  /* Robust standard deviation of the residuals of a line. */
  const rsdr = residual =>
    percentile(residual.map(Math.abs), 68.27) * residual.length / Math.max(residual.length - 2, 1);

  /* ROUT's robust line: weights 1 / (1 + (r / RSDR)^2), taken anew until nothing moves. */
  const robustLine = (x, y) => {
    const centre = mean(x), dx = x.map(v => v - centre);
    const rounding = 1e-12 * Math.max(...y.map(Math.abs));
    let [a, b] = weightedLine(dx, y, x.map(() => 1));
    const residuals = () => y.map((v, i) => v - a - b * dx[i]);
    let scale = 0, change = 0;
    for (let step = 0; step < 1000; step++) {
      const residual = residuals();
      scale = rsdr(residual);
      change = 0;
      if (scale <= rounding) break;
      const [c, d] = weightedLine(dx, y, residual.map(r => 1 / (1 + (r / scale) ** 2)));
      change = Math.max(...dx.map(v => Math.abs(c - a + (d - b) * v)));
      [a, b] = [c, d];
      if (change <= 1e-12 * scale) break;
    }
    const residual = residuals();
    return { intercept: a - b * centre, slope: b, residual, rsdr: rsdr(residual), rounding,
             settled: change <= 1e-6 * scale };
  };

  /* Logarithm of the gamma function (Lanczos, g = 7, nine terms), x >= 0.5. */
  const LANCZOS = [0.99999999999980993, 676.5203681218851, -1259.1392167224028,
    771.32342877765313, -176.61502916214059, 12.507343278686905, -0.13857109526572012,
    9.9843695780195716e-6, 1.5056327351493116e-7];
  const logGamma = x => {
    const t = x + 6.5;
    const series = LANCZOS.reduce((total, c, i) => i ? total + c / (x - 1 + i) : c, 0);
    return 0.5 * Math.log(2 * Math.PI) + (x - 0.5) * Math.log(t) - t + Math.log(series);
  };

  /* Regularised incomplete beta function, by its continued fraction (Lentz). */
  const incompleteBeta = (x, a, b) => {
    if (x <= 0 || x >= 1) return x <= 0 ? 0 : 1;
    if (x > (a + 1) / (a + b + 2)) return 1 - incompleteBeta(1 - x, b, a);
    const front = Math.exp(logGamma(a + b) - logGamma(a) - logGamma(b)
      + a * Math.log(x) + b * Math.log1p(-x)) / a;
    let c = 1, d = 1 / (1 - (a + b) * x / (a + 1)), h = d;
    for (let m = 1; m < 500; m++) {
      const even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
      d = 1 / (1 + even * d); c = 1 + even / c; h *= d * c;
      const odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
      d = 1 / (1 + odd * d); c = 1 + odd / c; h *= d * c;
      if (Math.abs(d * c - 1) < 1e-16) break;
    }
    return front * h;
  };

  /* Two-tailed p of Student's t. */
  const tTwoTailed = (t, df) => incompleteBeta(df / (df + t * t), df / 2, 0.5);

  /* The t with this two-tailed p. */
  const tCritical = (p, df) => {
    if (p <= 0) return Infinity;
    let low = 0, high = 1;
    while (tTwoTailed(high, df) > p) high *= 2;
    for (let i = 0; i < 60; i++) {
      const middle = (low + high) / 2;
      if (tTwoTailed(middle, df) > p) low = middle; else high = middle;
    }
    return (low + high) / 2;
  };

  /* ROUT: outliers about the robust line at the false discovery rate q. `limit` is the distance
     from the line beyond which one sample more would be an outlier. */
  const rout = (x, y, q) => {
    const n = x.length;
    if (n < 3 || constant(x) || constant(y))
      return { intercept: NaN, slope: NaN, rsdr: NaN, limit: NaN, settled: true,
               residual: y.map(() => NaN), outlier: y.map(() => false) };
    const fit = robustLine(x, y);
    const t = fit.residual.map(r => fit.rsdr > fit.rounding ? Math.abs(r) / fit.rsdr : 0);
    const order = t.map((_, i) => i).sort((i, j) => t[i] - t[j] || i - j);
    const firstTested = Number((0.7 * n).toFixed(6)) | 0;
    let first = n;
    for (let rank = Math.max(firstTested, 1); rank <= n; rank++)
      if (tTwoTailed(t[order[rank - 1]], n - 2) < q * (n - rank + 1) / n) { first = rank - 1; break; }
    const outlier = t.map(() => false);
    order.slice(first).forEach(i => { outlier[i] = true; });
    const next = Math.min(n - first + 1, n - Math.max(firstTested, 1) + 1);
    return { ...fit, t, outlier, limit: tCritical(q * next / n, n - 2) * fit.rsdr };
  };

  /* Ranks from 1; equal values share the mean of theirs. */
  const ranks = values => {
    const order = values.map((_, i) => i).sort((i, j) => values[i] - values[j]);
    const result = new Array(values.length);
    for (let i = 0, j; i < order.length; i = j) {
      for (j = i; j < order.length && values[order[j]] === values[order[i]];) j++;
      for (let k = i; k < j; k++) result[order[k]] = (i + j + 1) / 2;
    }
    return result;
  };

  const pearson = (x, y) => {
    if (x.length < 3 || constant(x) || constant(y)) return NaN;
    const mx = mean(x), my = mean(y);
    let sxx = 0, sxy = 0, syy = 0;
    x.forEach((v, i) => {
      sxx += (v - mx) ** 2; sxy += (v - mx) * (y[i] - my); syy += (y[i] - my) ** 2;
    });
    return Math.max(-1, Math.min(1, sxy / Math.sqrt(sxx) / Math.sqrt(syy)));
  };

  const spearman = (x, y) => pearson(ranks(x), ranks(y));

  const rmse = (predicted, observed) => predicted.length < 3
    ? NaN : Math.sqrt(mean(predicted.map((v, i) => (observed[i] - v) ** 2)));

  /* Meng's z for the strength of two predictors' correlations with one outcome. */
  const mengZ = (outcome, first, second, method = "spearman") => {
    const n = outcome.length;
    if (n < 4 || [outcome, first, second].some(constant)) return NaN;
    const correlate = method === "spearman" ? spearman : pearson;
    let r1 = correlate(outcome, first), r2 = correlate(outcome, second);
    let rx = correlate(first, second);
    rx *= (r1 < 0 ? -1 : 1) * (r2 < 0 ? -1 : 1);
    [r1, r2] = [Math.abs(r1), Math.abs(r2)];
    if (Math.max(r1, r2, rx) >= PERFECT) return NaN;
    const square = (r1 ** 2 + r2 ** 2) / 2;
    const f = Math.min(1, (1 - rx) / (2 * (1 - square)));
    const h = (1 - f * square) / (1 - square);
    return (Math.atanh(r1) - Math.atanh(r2)) / Math.sqrt(2 * (1 - rx) * h / (n - 3));
  };

  return { line, robustLine, rout, ranks, pearson, spearman, rmse, mengZ, tTwoTailed, tCritical };
})();
