r"""What an error is made of, and what it is worth.

.. math:: \mathrm{RMSE}^2 = \mathrm{bias}^2 + \mathrm{scatter}^2

Vocabulary
----------
- *scatter*: SD of observed minus predicted, with n in the denominator.
- *constant prediction*, constant: the prediction that gives every sample the mean of all; its RMSE
  is the SD of what was observed.
- *skill*: 1 - MSE / MSE of the constant; 0 is no better than it, below 0 is worse.
- *line error*: RMSE that is left when the best straight line has corrected the prediction.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from cpmlib.statistics.correlation import root_mean_square, slope_and_r2
from cpmlib.statistics.results import (
    MINIMUM_GROUP,
    not_estimable,
    one_row,
    remove_missing,
)

_PARTS = ("bias", "scatter", "bias_share", "constant", "skill", "line_error")


def error_split(predicted: ArrayLike, observed: ArrayLike) -> pd.DataFrame:
    """Split the RMSE into bias and scatter, and set it against a constant.

    The split is that of the mean square error by Theil (1966, Applied Economic Forecasting, 2.4),
    the skill that of Murphy (1988, Monthly Weather Review 116:2417).

    Parameters
    ----------
    predicted, observed : (n,) array_like
        In one unit; pairs with a NaN are left out.

    Returns
    -------
    pandas.DataFrame
        One row: the RMSE as ``estimate``, with ``bias``, ``scatter``, ``bias_share`` (of the mean
        square error), ``constant``, ``skill`` and ``line_error``.

    Examples
    --------
    >>> row = error_split([1.0, 2, 3, 4], [3.0, 3, 6, 6])
    >>> row[["estimate", "bias", "scatter", "constant", "skill"]].round(3)
       estimate  bias  scatter  constant  skill
    0     2.121   2.0    0.707       1.5   -1.0
    """
    predicted, observed = remove_missing(predicted, observed)
    n = len(observed)
    if n < MINIMUM_GROUP:
        reason = f"fewer than {MINIMUM_GROUP} samples ({n})"
        return not_estimable("RMSE", reason, n, **dict.fromkeys(_PARTS, np.nan))
    error = observed - predicted
    rmse, bias, constant = float(root_mean_square(error)), error.mean(), observed.std()
    varied = constant > 0 and predicted.std() > 0
    return one_row(
        "RMSE",
        rmse,
        n=n,
        bias=bias,
        scatter=error.std(),
        bias_share=bias**2 / rmse**2 if rmse > 0 else np.nan,
        constant=constant,
        skill=1 - rmse**2 / constant**2 if constant > 0 else np.nan,
        line_error=constant * np.sqrt(np.maximum(1 - slope_and_r2(predicted, observed)[1], 0))
        if varied
        else constant,
    )
