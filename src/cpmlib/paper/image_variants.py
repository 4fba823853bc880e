"""The samples as other spheres and another scaling of the map would have measured them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from cpmlib.paper.specifications.choices import DIAMETERS, DRAWS, SHIFTS
from cpmlib.paper.subsets import PREDICTORS
from cpmlib.study.options import AnalysisOptions, ImageOptions


@dataclass(frozen=True)
class Variant:
    """The sample table with other values of CPM and ADC, and by which choices they came about.

    ``draw`` numbers the directions drawn for one shift.
    """

    samples: pd.DataFrame
    choices: dict[str, object] = field(default_factory=dict)
    draw: int = 0


def image_variants(
    samples: pd.DataFrame,
    regions: pd.DataFrame,
    quality: pd.DataFrame,
    options: AnalysisOptions,
    images: ImageOptions,
) -> list[Variant]:
    """Return the samples as they are, and as each other choice about the images makes them.

    Parameters
    ----------
    samples
        The analysed table.
    regions
        What `cpmlib.paper.roi_sensitivity.sensitivity` read, of all patients, with
        ``participant_id``; without rows where there are no images.
    quality
        ``participant_id`` and, where a map was predicted, ``raw_sd``, the whole-brain SD by which
        it was divided.

    Returns
    -------
    list of Variant
        The first is the table itself. A sphere's *change* from the default sphere is added to the
        table's value, so that a sample without an image keeps it.

    Examples
    --------
    >>> samples = pd.DataFrame({"participant_id": ["P1"], "sample_id": ["a"], "cpm": [900.0]})
    >>> nothing = pd.DataFrame(), pd.DataFrame({"participant_id": []})
    >>> [v.choices for v in image_variants(samples, *nothing, AnalysisOptions(), ImageOptions())]
    [{}]
    """
    base: dict[str, object] = {}
    found: list[Variant] = []
    if len(regions):
        at_target = regions[(regions["varied"] == "shift") & (regions["shift"] == 0)].iloc[0]
        base |= {key: at_target[key] for key in ("weighting", "diameter", "shift")}
        found += _spheres(samples, regions, base, options)
    divided = images.cpm_normalise == "output" and "raw_sd" in quality
    raw_sd = quality.set_index("participant_id")["raw_sd"] if divided else pd.Series(dtype=float)
    scale = samples["participant_id"].map(raw_sd).astype(float)
    if divided and scale[samples["cpm"].notna()].notna().all() and scale.notna().any():
        base["normalisation"] = "output"
        # Up to a factor that all patients share: the mean over patients stays.
        undivided = samples["cpm"] * scale / float(raw_sd.mean())
        found.append(Variant(samples.assign(cpm=undivided), {"normalisation": "none"}))
    return [Variant(samples, base), *(Variant(v.samples, base | v.choices, v.draw) for v in found)]


def _spheres(
    samples: pd.DataFrame,
    regions: pd.DataFrame,
    base: dict[str, object],
    options: AnalysisOptions,
) -> list[Variant]:
    groups = dict(tuple(regions.groupby(["varied", "diameter", "shift", "weighting"])))
    own = base["diameter"], base["shift"], base["weighting"]
    found = []
    for (varied, diameter, shift, weighting), rows in groups.items():
        at: dict[str, object] = {"diameter": diameter, "shift": shift, "weighting": weighting}
        if varied == "shift" and shift in SHIFTS:
            for draw in range(1, DRAWS + 1):
                toward = _directions(rows, options.rng(f"shift {shift:g} {draw}"))
                chosen = rows[rows["direction"] == rows["participant_id"].map(toward)]
                found.append(Variant(_moved(samples, chosen), at, draw))
        elif (diameter, shift, weighting) != own and (
            varied == "weighting" or (varied == "diameter" and diameter in DIAMETERS)
        ):
            found.append(Variant(_moved(samples, rows), at))
    return found


def _directions(rows: pd.DataFrame, rng: np.random.Generator) -> pd.Series:
    """Draw one direction for each patient: what moves a brain moves all of its targets alike."""
    people = np.sort(rows["participant_id"].unique())
    numbers = np.sort(rows["direction"].unique())
    return pd.Series(rng.choice(numbers, len(people)), index=people)


def _moved(samples: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    columns = {}
    for name in samples.columns.intersection(list(PREDICTORS)):
        own = rows[rows["map"] == name].set_index("sample_id")
        change = (own["value"] - own["default"]).reindex(samples["sample_id"]).to_numpy()
        columns[name] = samples[name] + np.where(samples["sample_id"].isin(own.index), change, 0)
    return samples.assign(**columns)


def carried(samples: pd.DataFrame, variants: list[Variant]) -> str:
    """Say what of the images is varied, and in how many samples.

    Examples
    --------
    >>> samples = pd.DataFrame({"participant_id": ["P1"], "sample_id": ["a"], "cpm": [900.0]})
    >>> carried(samples, [Variant(samples)])
    'The dataset has no images with these choices, so that those of the images are left out.'
    """
    default, changed = variants[0], variants[1:]
    if not changed:
        return (
            "The dataset has no images with these choices, so that those of the images are left "
            "out."
        )
    shown = list(samples.columns.intersection(list(PREDICTORS)))
    before = default.samples[shown]
    differs = [(v.samples[shown] != before) & before.notna() for v in changed]
    moved = np.logical_or.reduce([table.to_numpy() for table in differs]).any(axis=1)
    words = f"The choices of the images are carried through to {moved.sum()} of {len(samples)} "
    words += "samples." if moved.all() else "samples; the others keep the value of the table."
    words += (
        " They are changed one at a time, since that is how they were measured, each together with "
        "all choices of the statistics."
    )
    if "normalisation" not in default.choices:
        words += " The scaling of the map is left out: not every map was predicted here."
    return words
