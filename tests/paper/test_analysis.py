"""The whole analysis in one call."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from cpmlib.paper.analysis import Parts, regenerate
from cpmlib.paper.sensitivity import CHOICES
from cpmlib.study.options import AnalysisOptions


def test_parts_that_are_kept_change_no_value(cohort):
    parts, quick = Parts(), AnalysisOptions(n_draws=20)
    for change in ({}, *CHOICES.values(), {"seed": 5}):
        options = replace(quick, **change)
        kept, anew = (pd.Series(regenerate(cohort, options, given)) for given in (parts, None))
        pd.testing.assert_series_equal(kept, anew, check_exact=True)
