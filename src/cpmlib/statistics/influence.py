"""How much one sample moves a line: Cook's distance."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from cpmlib.statistics.results import why_not_estimable


def cooks_distance(x: ArrayLike, y: ArrayLike) -> np.ndarray:
    """Cook's distance of each sample from the least-squares line of y on x, by statsmodels.

    Cook (1977, Technometrics 19:15-18). NaN where there is no line.

    Examples
    --------
    >>> cooks_distance([1.0, 2, 3, 10], [1.0, 2, 3, 4]).round(2)
    array([ 0.53,  0.  ,  0.29, 32.33])
    """
    from statsmodels.regression.linear_model import OLS
    from statsmodels.stats.outliers_influence import OLSInfluence

    x, y = np.asarray(x, float), np.asarray(y, float)
    if why_not_estimable(x, y):
        return np.full(len(x), np.nan)
    fit = OLS(y, np.column_stack([np.ones_like(x), x])).fit()
    with np.errstate(divide="ignore", invalid="ignore"):  # a line that meets every point
        return np.asarray(OLSInfluence(fit).cooks_distance[0])
