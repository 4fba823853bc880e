"""From four contrasts to a cellularity prediction map.

Vocabulary
----------
- *raw map*: what the forest answers, cells/mm2.
- *normalised map*: what is analysed. The validation study divides the raw values "by the
  whole-brain intensity SD at the single patient level"; so that the unit stays cells/mm2 the
  quotient is multiplied by the model's reference SD.
- *extrapolation*: a tile holds a value below or above all that the model has seen of a contrast.

References
----------
Nocera G et al. (2025) J Neurooncol, doi 10.1007/s11060-025-05105-x (output divided by its SD).
Bobholz SA et al. (2022) AJNR Am J Neuroradiol 43:682 (inputs divided by their SD).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import nibabel as nib
import numpy as np

from cpmlib.cpm.features import (
    any_in_tile,
    complete,
    feature_offsets,
    padded_volumes,
    tiles_at,
)
from cpmlib.cpm.inputs import (
    Normalisation,
    brain_sd,
    check_adc_unit,
    check_normalisation,
    model_inputs,
)
from cpmlib.cpm.model_file import CpmModel
from cpmlib.cpm.traversal import add_up_trees
from cpmlib.mri.images import CONTRASTS
from cpmlib.mri.volume import Volume, make_image
from cpmlib.study.errors import DatasetError, Problem
from cpmlib.study.options import MUCH_OUTSIDE


@dataclass(frozen=True)
class CpmResult:
    """A cellularity prediction map and how it came about.

    Parameters
    ----------
    image
        float32, cells/mm2; NaN outside the brain and where a tile has no value.
    raw_sd
        Standard deviation of the raw map over the brain, cells/mm2.
    factor
        By which the raw map was multiplied: reference SD / `raw_sd` for ``"output"``, else 1.
    extrapolation
        float32: for how many contrasts (0 to 4) a voxel's tile leaves the training range; NaN
        where the map is.
    extrapolation_share
        Per contrast, and for ``"any"`` of them: share of the map's voxels concerned, 0 to 1.
    no_value_share
        Share of the brain's voxels without a value, 0 to 1.
    """

    image: nib.Nifti1Image
    raw_sd: float
    factor: float
    extrapolation: nib.Nifti1Image
    extrapolation_share: Mapping[str, float]
    no_value_share: float

    @property
    def warnings(self) -> list[str]:
        """What must be said of a map of which a tenth or more is extrapolated."""
        share = self.extrapolation_share
        if share["any"] < MUCH_OUTSIDE:
            return []
        each = ", ".join(f"{kind} {_percent(share[kind])}" for kind in CONTRASTS if share[kind])
        return [
            f"WARNING: {_percent(share['any'])} of the cellularity map lies outside the range of"
            f" the model's training data ({each}); its values there are extrapolated and not to be"
            " trusted. Check the contrasts' units and scaling, or take a model that was trained on"
            " such images"
        ]


def predict_map(
    model: CpmModel,
    images: Mapping[str, nib.Nifti1Image | Volume],
    mask: nib.Nifti1Image | Volume,
    *,
    threads: int | None = None,
) -> nib.Nifti1Image:
    """Ask the forest about every voxel of a brain.

    Parameters
    ----------
    model
        As trained or read.
    images
        T1w, T1wGd, FLAIR and ADC on one grid with axes R, A, S and the model's voxel size in the
        plane, in the unit and scaling with which the model was trained.
    mask
        Brain: 1 inside, 0 outside; on the same grid.
    threads
        How many; all processors that this process may use if None. The result is the same.

    Returns
    -------
    nibabel.Nifti1Image
        float32, cells/mm2, not normalised; NaN outside the mask and where a tile has no value.

    Raises
    ------
    DatasetError
        If the images do not fit the model or each other.
    """
    volumes, inside = model_inputs(model.card, images, mask)
    return make_image(_raw(model, volumes, inside, threads), mask.affine)


def predict_at(model: CpmModel, volumes: np.ndarray, voxels: np.ndarray) -> np.ndarray:
    """Ask the forest about a few voxels, in one thread and without a copy of the images.

    Parameters
    ----------
    model
        As trained or read.
    volumes : (4, X, Y, Z) float32
        Contrasts in the order of `cpmlib.mri.images.CONTRASTS`, as the model expects them.
    voxels : (n, 3) int
        Indices; beyond the border the outermost voxel is repeated.

    Returns
    -------
    (n,) float64
        cells/mm2, not normalised; equal to `predict_map` when rounded to float32. NaN where a tile
        has no value.

    Raises
    ------
    ValueError
        For arrays of another shape or type, or a voxel outside the grid.
    """
    return model.forest.predict(tiles_at(volumes, voxels))


def cellularity_map(
    model: CpmModel,
    images: Mapping[str, nib.Nifti1Image | Volume],
    mask: nib.Nifti1Image | Volume,
    normalise: Normalisation = "output",
    *,
    threads: int | None = None,
) -> CpmResult:
    """Make the cellularity prediction map of a patient.

    Parameters
    ----------
    model
        As trained or read.
    images
        T1w, T1wGd and FLAIR in scanner units and ADC in 1e-6 mm2/s, on one grid with axes R, A, S
        and the model's voxel size in the plane.
    mask
        Brain: 1 inside, 0 outside; on the same grid.
    normalise
        ``"output"``: raw map / its standard deviation over the brain * the model's reference SD.
        ``"input"``: each contrast / its standard deviation over the brain, before the forest; needs
        a model that was trained so. ``"none"``: the raw map.
    threads
        As in `predict_map`.

    Returns
    -------
    CpmResult

    Raises
    ------
    DatasetError
        If the images do not fit the model or each other, the ADC is in another unit, no voxel has
        a value, or there is no variation to divide by.
    ValueError
        For an unknown `normalise`.
    """
    check_normalisation(model.card, normalise)
    volumes, inside = model_inputs(model.card, images, mask)
    if normalise == "input":
        for name, values in zip(CONTRASTS, volumes, strict=True):
            values /= np.float32(brain_sd(values[inside], name))
    raw = _raw(model, volumes, inside, threads)
    known = np.isfinite(raw)
    if not known.any():
        found = "no voxel of the brain with all neighbours in all contrasts"
        remedy = "check that the contrasts cover the brain"
        raise DatasetError(Problem("model inputs", found, "images of one head", remedy))
    if normalise != "input":
        check_adc_unit(model.card, volumes[CONTRASTS.index("ADC")][known])
    # A constant map is an answer too, as long as nothing is divided by its deviation.
    values = raw[known]
    raw_sd = (
        brain_sd(values, "raw map") if normalise == "output" else float(values.std(dtype=float))
    )
    factor = model.card.reference_sd / raw_sd if normalise == "output" else 1.0
    outside, share = _extrapolation(model, volumes, known)
    return CpmResult(
        make_image(raw * np.float32(factor), mask.affine),
        raw_sd,
        factor,
        make_image(outside, mask.affine),
        share,
        1 - float(known.sum() / inside.sum()),
    )


def _percent(share: float) -> str:
    """Write a share so that neither a little becomes none nor most becomes all."""
    percent = 100 * share
    if percent < 1:
        return "less than 1 %"
    return "more than 99 %" if 99 < percent < 100 else f"{percent:.0f} %"


def _raw(
    model: CpmModel, volumes: np.ndarray, inside: np.ndarray, threads: int | None
) -> np.ndarray:
    """Return the raw map, (X, Y, Z) float32."""
    # From the last axis to the first, as NIfTI files are stored: neighbours in this list are
    # neighbours in memory.
    asked = (inside & complete(volumes)).T
    raw = np.full(asked.shape, np.nan, dtype=np.float32)
    z, y, x = np.nonzero(asked)
    if len(z):
        box = _extent(x), _extent(y), _extent(z)
        padded = padded_volumes(volumes, box)
        _, _, ny, nx = padded.shape
        i, j, k = x - box[0].start, y - box[1].start, z - box[2].start
        starts = ((k * ny + j) * nx + i).astype(np.uint32)
        nodes = model.forest.packed(feature_offsets(padded.shape))
        total = add_up_trees(padded.reshape(-1), starts, nodes, model.forest.root, threads)
        raw[z, y, x] = total / model.forest.n_trees
    return raw.T


def _extent(places: np.ndarray) -> slice:
    return slice(int(places.min()), int(places.max()) + 1)


def _extrapolation(
    model: CpmModel, volumes: np.ndarray, known: np.ndarray
) -> tuple[np.ndarray, dict[str, float]]:
    """Count the contrasts outside the training range, and the voxels where there are any."""
    count = np.zeros(known.shape, dtype=np.float32)
    share = {}
    for name, values in zip(CONTRASTS, volumes, strict=True):
        # Limits are float32 numbers of the training tiles, so that they are compared exactly.
        low, high = np.array(model.card.training_range[name], dtype=np.float32)
        outside = any_in_tile((values < low) | (values > high))
        share[name] = float(outside[known].mean())
        count += outside
    share["any"] = float((count[known] > 0).mean())
    count[~known] = np.nan
    return count, share
