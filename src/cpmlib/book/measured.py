"""Tables of what `benchmarks/` measured, for the pages on speed and decisions.

Each function takes the content of one or more files of ``benchmarks/results``.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

COLUMNS = ("What", "Against", "Measured", "Unit")
CORRECTIONS = {
    "bidirectional": "Corrected both ways",
    "unidirectional": "Corrected one way",
    "none": "Not corrected",
}


def statistics_speed(numbers: dict[str, Any]) -> pd.DataFrame:
    """List how long resampling and the mixed model take, against other software."""
    draws, model = numbers["one_per_patient"], numbers["mixed_model"]
    designs, fits = f"of {model['designs']}", "Fits that failed"
    peak = draws["peak_mb_of_a_million_draws"]
    return _table(
        ("One sample per patient", "pandas and SciPy loop", draws["ratio"], "times faster"),
        ("Random-intercept model", "statsmodels MixedLM", model["ratio"], "times faster"),
        (
            "The same, worst design timed",
            "statsmodels MixedLM",
            model["lowest_ratio"],
            "times faster",
        ),
        (fits, "this library", model["our_failures"], designs),
        (fits, "statsmodels", model["statsmodels_failures"], designs),
        ("A million draws", "peak memory", peak, "MB"),
    )


def image_speed(cpm: dict[str, Any], roi: dict[str, Any], dsc: dict[str, Any]) -> pd.DataFrame:
    """List how long maps, regions and perfusion take, against other software."""
    cpm, roi = cpm["map"], roi["roi"]
    series = dsc["whole_series_cpu_seconds"]["bidirectional"]
    return _table(
        ("Whole-brain map at 1 mm", "scikit-learn's predict", cpm["ratio"], "times faster"),
        ("The same", "largest difference", cpm["largest_difference"], "cells/mm²"),
        ("The same", "peak memory", cpm["peak_mb"], "MB"),
        ("Spheres in a 1-mm volume", "NiftiSpheresMasker", roi["ratio"], "times faster"),
        ("The same", "largest difference", roi["largest_relative_difference"], "of the value"),
        ("Leakage correction", "SciPy loop over voxels", dsc["ratio"], "times faster"),
        ("The same, a whole series", "one core", series, "s"),
    )


def leakage_accuracy(dsc: dict[str, Any]) -> pd.DataFrame:
    """List the bias and error of each leakage correction, by tissue of the phantom."""

    def cell(found: dict[str, float]) -> str:
        # Not -0.00.
        return f"{round(found['bias'], 2) + 0.0:+.2f} ({found['error']:.2f})"

    return pd.DataFrame(
        [
            {"Tissue": row["tissue"], "Truth": f"{row['truth']:.1f}"}
            | {name: cell(row[key]) for key, name in CORRECTIONS.items()}
            for row in dsc["phantom"]["rows"]
        ]
    )


def over_limit(book: pd.DataFrame) -> str:
    """Say which of the timed builds took longer than the project allows itself."""
    limits = pd.to_numeric(book["limit"])
    slow = book[book["seconds"] > limits]
    if slow.empty:
        return "No timed build took longer than its limit."
    said = "; ".join(
        f"{row['what']}, {row['seconds']:.0f} s where {float(row['limit']):g} s are allowed"
        for row in slow.to_dict("records")
    )
    return f"Longer than its limit: {said}."


def speed_of_machine(machine: dict[str, Any]) -> str:
    """Say on what machine times were measured, and how fast it was then if that is known.

    Examples
    --------
    >>> print(speed_of_machine({"cores": 2, "python": "3.11.7", "loop_s": 1.234}))
    Measured with Python 3.11.7, processors: 2; 20 million additions in a loop took 1.2 s.
    """
    said = f"Measured with Python {machine['python']}, processors: {machine['cores']}"
    if "loop_s" in machine:
        said += f"; 20 million additions in a loop took {machine['loop_s']:.1f} s"
    return f"{said}."


def page_speed(numbers: dict[str, Any]) -> pd.DataFrame:
    """List how soon pages can be read and moving figures answer, milliseconds, with the limits."""
    pages = pd.DataFrame(numbers["pages"]).T
    readable, limits = pages["readable_ms"], numbers["limits_ms"]
    slowest, visits = str(readable.idxmax()), f"visits: {numbers['visits']}"
    late = int((readable > limits["readable"]).sum())
    rows = [
        (
            f"The median page can be read; {visits}",
            readable.median(),
            pages["worst_ms"].median(),
        ),
        (f"The slowest, {slowest}", readable.max(), pages.loc[slowest, "worst_ms"]),
    ]
    table = pd.DataFrame(rows, columns=["What", "Median (ms)", "Worst (ms)"])
    table["Limit (ms)"] = limits["readable"]
    table["Over the limit"] = f"{late} of {len(pages)} pages"
    answers = pd.DataFrame(
        {
            "What": f"Answer: {what}",
            "Median (ms)": times["median_ms"],
            "Worst (ms)": times["worst_ms"],
            "Limit (ms)": limits["answer"],
            "Over the limit": "yes" if times["median_ms"] > limits["answer"] else "no",
        }
        for what, times in numbers["answers"].items()
    )
    whole = pd.concat([table, answers], ignore_index=True)
    return whole.round(0).astype(dict.fromkeys(whole.columns[1:4], int)).astype(str)


def _table(*rows: tuple[str, str, float, str]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    return table.assign(Measured=table["Measured"].map(_shown))


def _shown(number: float) -> str:
    """Write a number with three digits, or all before the point.

    Examples
    --------
    >>> _shown(6432.1), _shown(24.7161), _shown(1.78e-7)
    ('6,432', '24.7', '1.78e-07')
    """
    return f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.3g}"
