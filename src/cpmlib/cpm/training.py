"""Training of a cellularity prediction model on slices with counted cell density.

The published model is a bagged ensemble of regression trees on the 5 x 5 patches of four contrasts,
trained on two thirds of 44 patients and tested on the others; number, depth and leaf size of its
trees are not published. Here the leaf size is chosen by validation within the training patients,
the patients held out serve for the test error alone, and no patch of a patient is ever on both
sides.

Vocabulary
----------
- *held out*: not used to fit a model, so that its error on them is an honest one; in training, a
  third of the patients.
- *fold*: some of the training patients, for whom predictions are made by a forest grown on the
  others.
- *leaf size*: smallest number of patches in a leaf.

References
----------
Bobholz SA et al. (2022) AJNR Am J Neuroradiol 43:682.
Breiman L (2001) Machine Learning 45:5 (random forests).
"""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
import pandas as pd

from cpmlib.cpm.card import INPUT_SCALINGS, InputScaling, ModelCard
from cpmlib.cpm.features import PATCH
from cpmlib.cpm.forest import Forest, from_sklearn
from cpmlib.cpm.model_file import CpmModel
from cpmlib.cpm.slices import AutopsySlice, Patches, check_slices, draw_patches
from cpmlib.mri.images import CONTRASTS
from cpmlib.study.errors import fault

PUBLISHED_RMSE = 1015.0
"""Test error of the published model, cells/mm2 (Bobholz et al. 2022, AJNR 43:682)."""

HELD_OUT = 1 / 3
"""Share of the patients in the test (Bobholz et al. 2022)."""

FOLDS = 3
LEAF_SIZES = (10, 20, 40)
N_TREES = 64
FEATURES_PER_SPLIT = 1 / 6
"""Share of the 100 features, drawn anew, among which a node chooses."""

PATCHES_PER_TREE = 0.5
"""Share of the training patches that a tree is grown on; neighbours are alike, so that half tell
nearly as much as all."""

PATCHES_PER_SLICE = 300
BRAIN_PATCHES_PER_SLICE = 1000
VALIDATION_SHARE = 4
"""A validation forest has one in so many of the trees."""


@dataclass(frozen=True, eq=False)
class TrainingReport:
    """How a training went; densities and errors in cells/mm2.

    ``validation`` has a row per leaf size and fold, ``held_out`` one per test patch, ``patient_sd``
    one per training patient, with the SD of predictions by a forest that had not seen the patient.
    ``rmse_of_mean`` is the test error of always answering the mean of the training densities.
    """

    validation: pd.DataFrame
    held_out: pd.DataFrame
    patient_sd: pd.DataFrame
    rmse_of_mean: float


def train(
    slices: Sequence[AutopsySlice],
    *,
    seed: int,
    input_scaling: InputScaling = "none",
    n_trees: int = N_TREES,
    leaf_sizes: Sequence[int] = LEAF_SIZES,
    patches_per_slice: int = PATCHES_PER_SLICE,
    n_jobs: int | None = -1,
) -> tuple[CpmModel, TrainingReport]:
    """Train and test a model on synthetic slices of five patients or more.

    Scaling by ``"whole-brain SD"`` divides each contrast by the slice's scale; such a model is for
    ``normalise="input"`` only. Of the leaf sizes the one with the smallest error over all folds is
    taken. The seed is that of the split, the patches drawn and the trees; the result does not
    depend on `n_jobs`, which is scikit-learn's.
    """
    if input_scaling not in INPUT_SCALINGS:
        raise ValueError(f"input_scaling is {input_scaling!r}; expected one of {INPUT_SCALINGS}")
    if min(n_trees, patches_per_slice, *leaf_sizes, len(leaf_sizes)) < 1:
        raise ValueError("n_trees, patches_per_slice and leaf_sizes must be 1 or more")
    check_slices(slices, input_scaling)
    streams = [np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(4)]
    patches = draw_patches(slices, streams[0], patches_per_slice, input_scaling)
    training, held_out = _split(_patients(slices, patches), streams[1])
    folds = [training[k::FOLDS] for k in range(FOLDS)]
    known, unseen = patches.of(training), patches.of(held_out)
    if not np.ptp(known.density) > 0:
        found = "the same density everywhere"
        raise fault("autopsy slices", found, "varying density", "check the counts")
    seeds = streams[2].integers(2**31, size=FOLDS + 1)
    trees = max(n_trees // VALIDATION_SHARE, 1)
    validation, forests = _validate(known, folds, leaf_sizes, trees, seeds, n_jobs)
    leaf = _best(validation)
    forest = _grow(known, leaf, n_trees, int(seeds[FOLDS]), n_jobs)
    most = BRAIN_PATCHES_PER_SLICE
    brain = draw_patches(slices, streams[3], most, input_scaling, whole_brain=True).of(training)
    patient_sd = _patient_sd(brain, folds, [forests[leaf, k] for k in range(FOLDS)])
    report = _report(forest, known, unseen, validation, patient_sd)
    grown = {"n_trees": n_trees, "min_samples_leaf": leaf}
    how = {"voxel_size": float(slices[0].voxel_size), "input_scaling": input_scaling, "seed": seed}
    return CpmModel(forest, _card(report, known, unseen, grown, how)), report


def _report(
    forest: Forest,
    known: Patches,
    unseen: Patches,
    validation: pd.DataFrame,
    patient_sd: pd.DataFrame,
) -> TrainingReport:
    held_out = {
        "patient": unseen.patient.astype(str),
        "slice": unseen.slice_index,
        "density": unseen.density.astype(float),
        "predicted": forest.predict(unseen.features),
    }
    mean = np.full(len(unseen), known.density.mean(dtype=float))
    error = _rmse(mean, unseen.density)
    return TrainingReport(validation, pd.DataFrame(held_out), patient_sd, error)


def _card(
    report: TrainingReport,
    known: Patches,
    unseen: Patches,
    grown: dict[str, int],
    entries: dict[str, Any],
) -> ModelCard:
    columns = dict(zip(CONTRASTS, np.split(known.features, len(CONTRASTS), axis=1), strict=True))
    centre = PATCH * PATCH // 2
    sides = {"train": known, "test": unseen}
    packages = {name: version(name) for name in ("cpmlib", "numpy", "scikit-learn")}
    tested = report.held_out
    return ModelCard(
        label="Forest trained on a synthetic autopsy cohort",
        synthetic=True,
        training_range={k: (float(v.min()), float(v.max())) for k, v in columns.items()},
        training_median={k: float(np.median(v[:, centre])) for k, v in columns.items()},
        density_range=(float(known.density.min()), float(known.density.max())),
        reference_sd=float(report.patient_sd["sd"].mean()),
        test_rmse=_rmse(tested["predicted"].to_numpy(), tested["density"].to_numpy()),
        n_patients={side: len(set(patches.patient)) for side, patches in sides.items()},
        n_slices={side: len(np.unique(p.slice_index)) for side, p in sides.items()},
        n_tiles={side: len(patches) for side, patches in sides.items()},
        forest=grown | {"max_features": FEATURES_PER_SPLIT, "max_samples": PATCHES_PER_TREE},
        software={"python": platform.python_version(), **packages},
        **entries,
    )


def _patients(slices: Sequence[AutopsySlice], patches: Patches) -> list[str]:
    """Return the patients, whatever the order of the slices."""
    patients = sorted({one.patient for one in slices})
    least = FOLDS + 2
    if len(patients) < least:
        found = f"{len(patients)} patients"
        raise fault("autopsy slices", found, f"at least {least}", "add patients")
    without = sorted(set(patients) - set(patches.patient))
    if without:
        found = f"no counted patch of patient {without[0]}"
        expected = "voxels with a density and all neighbours in all contrasts"
        raise fault("autopsy slices", found, expected, "leave the patient out")
    return patients


def _split(patients: list[str], rng: np.random.Generator) -> tuple[list[str], list[str]]:
    """Shuffle the patients; return those to train on and those held out."""
    shuffled = [patients[i] for i in rng.permutation(len(patients))]
    n_test = round(HELD_OUT * len(patients))
    return shuffled[n_test:], shuffled[:n_test]


def _grow(patches: Patches, leaf: int, n_trees: int, seed: int, n_jobs: int | None) -> Forest:
    from sklearn.ensemble import RandomForestRegressor

    regressor = RandomForestRegressor(
        n_trees,
        min_samples_leaf=leaf,
        max_features=FEATURES_PER_SPLIT,
        max_samples=PATCHES_PER_TREE,
        random_state=seed,
        n_jobs=n_jobs,
    )
    return from_sklearn(regressor.fit(patches.features, patches.density.astype(np.float64)))


def _validate(
    patches: Patches,
    folds: list[list[str]],
    leaf_sizes: Sequence[int],
    n_trees: int,
    seeds: np.ndarray,
    n_jobs: int | None,
) -> tuple[pd.DataFrame, dict[tuple[int, int], Forest]]:
    """Predict each fold by forests grown on the others, one for each leaf size."""
    rows, forests = [], {}
    for k, fold in enumerate(folds):
        others = [p for other in folds if other is not fold for p in other]
        grown_on, asked = patches.of(others), patches.of(fold)
        for leaf in leaf_sizes:
            forest = forests[leaf, k] = _grow(grown_on, leaf, n_trees, int(seeds[k]), n_jobs)
            rmse = _rmse(forest.predict(asked.features), asked.density)
            rows.append((leaf, k, len(asked), rmse))
    return pd.DataFrame(rows, columns=["min_samples_leaf", "fold", "n_patches", "rmse"]), forests


def _best(validation: pd.DataFrame) -> int:
    squared = validation["rmse"] ** 2 * validation["n_patches"]
    total = squared.groupby(validation["min_samples_leaf"]).sum()
    return int(total.index.to_numpy()[total.to_numpy().argmin()])


def _patient_sd(brain: Patches, folds: list[list[str]], forests: list[Forest]) -> pd.DataFrame:
    """Predict each patient by a forest grown without it: of seen ones predictions vary more."""
    rows = []
    for fold, forest in zip(folds, forests, strict=True):
        for patient in fold:
            features = brain.of([patient]).features
            if len(features) < 2:
                found = f"no brain of patient {patient} on any slice"
                remedy = "mark the brain on a slice of each patient, or on none"
                raise fault("autopsy slices", found, "voxels of the brain", remedy)
            predicted = forest.predict(features)
            rows.append((patient, len(predicted), float(predicted.std())))
    table = pd.DataFrame(rows, columns=["patient", "n_patches", "sd"])
    if not table["sd"].mean() > 0:
        found, remedy = "predictions that do not vary", "train on more patches or smaller leaves"
        raise fault("autopsy slices", found, "predictions that vary", remedy)
    return table.sort_values("patient", ignore_index=True)


def _rmse(predicted: np.ndarray, density: np.ndarray) -> float:
    return float(np.sqrt(np.mean((predicted - density.astype(np.float64)) ** 2)))
