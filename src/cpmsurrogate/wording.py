"""Tables and numbers of the page on the surrogate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from cpmlib.study.published import names_of
from cpmsurrogate.images.head_size import LOSS, PARENCHYMA, REFERENCE_AGE, expected_parenchyma
from cpmsurrogate.images.profiles import FULL, LIGHT

CONDITIONS = {
    "icc": "ICC",
    "rout_inside": "largest residual kept / ROUT's threshold",
    "rout_outside": "smallest residual excluded / ROUT's threshold",
}
"""Conditions of the search whose names need words."""


def quoted_search(
    trace: pd.DataFrame, table: pd.DataFrame, published: pd.DataFrame, measured: Mapping[str, Any]
) -> dict[str, object]:
    """Return what the page's sentences say of the search.

    Parameters
    ----------
    trace
        One row an iteration.
    table
        As `cpmsurrogate.compare.compare` returns it.
    published
        Printed values.
    measured
        Of many seeds, as the benchmarks have it.
    """
    first = table.iloc[0]
    return {
        "attempts": int(trace["attempt"].max()),
        "total": int(trace["total"].iloc[0]),
        "met": int(first["met"]),
        "tried": measured["seeds"],
        "complete": measured["complete"],
        "minutes": measured["seconds_median"] / 60,
        "longest": measured["seconds_longest"] / 60,
        "truncated": int(first["if_truncated"]),
        "missed": names_of(published, first["missed"].split()),
    }


def quoted_images(samples: pd.DataFrame) -> dict[str, object]:
    """Return what the page's sentences say of heads and resolutions."""
    people = samples.drop_duplicates("participant_id")
    pairs = zip(people["sex"], people["age"], strict=True)
    volumes = [expected_parenchyma(sex, age) for sex, age in pairs]
    return {
        "reference_age": REFERENCE_AGE,
        "loss_from": LOSS[0][0],
        "brain_men": PARENCHYMA["M"],
        "brain_women": PARENCHYMA["F"],
        "brain_least": min(volumes),
        "brain_most": max(volumes),
        **{
            f"{series}_{name}": getattr(profile, series)[2]
            for series in ("t1", "flair", "diffusion")
            for name, profile in (("light", LIGHT), ("full", FULL))
        },
    }


def table_conditions(conditions: pd.DataFrame) -> pd.DataFrame:
    """Lay out what was asked of the cohort besides the printed values."""
    names = {"cpm": "CPM", "adc": "ADC", "he": "H&E"}
    shown = conditions.replace(
        {"condition": CONDITIONS, "variable": names, "subset": {"whole": "whole cohort"}}
    )
    for name in ("value", "low", "high"):
        shown[name] = shown[name].map("{:.4g}".format).replace({"nan": "", "inf": "", "-inf": ""})
    return shown.fillna("")
