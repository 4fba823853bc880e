"""From four contrasts to a cellularity prediction map.

Vocabulary
----------
- *raw map*: what the forest answers, cells/mm2.
- *normalised map*: what is analysed (`cpmlib.cpm.normalisation`), cells/mm2.
- *extrapolation*: a prediction from a patch with a value below or above all that the model has seen
  of a contrast.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import nibabel as nib
import numpy as np

from cpmlib.cpm.card import ModelCard
from cpmlib.cpm.features import (
    REACH,
    any_in_patch,
    complete,
    feature_offsets,
    padded_volumes,
    patches_at,
)
from cpmlib.cpm.model_file import CpmModel
from cpmlib.cpm.normalisation import Normalisation, brain_sd, check_normalisation, output_factor
from cpmlib.cpm.traversal import MAX_INDEX, sum_leaves
from cpmlib.mri.images import CONTRASTS
from cpmlib.mri.volume import Image, Volume, as_volume, make_image
from cpmlib.study.errors import fault
from cpmlib.study.options import MUCH_OUTSIDE

MAX_VOXEL_DIFFERENCE = 0.10
"""In-plane voxels may differ from the model's by this share."""

SAME_GRID = 1e-3
"""Affines that agree to this many mm are taken as equal."""

ADC_FACTOR = 4.0
"""An ADC whose median in the brain is this many times the training median, or less than one such
part of it, is in another unit: the units in use are a factor of 1000 or more apart."""


@dataclass(frozen=True)
class CpmResult:
    """A cellularity prediction map and how it came about.

    The image, cells/mm2, is NaN outside the brain and where a patch has no value; it is the raw
    map, with `raw_sd` over the brain, times the factor. The extrapolation counts for how many
    contrasts a voxel's patch leaves the training range; its share of the map's voxels, 0 to 1, is
    given per contrast, and for ``"any"`` of them.
    """

    image: nib.Nifti1Image
    raw_sd: float
    factor: float
    extrapolation: nib.Nifti1Image
    extrapolation_share: Mapping[str, float]

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


def cellularity_map(
    model: CpmModel,
    images: Mapping[str, Image],
    mask: Image,
    normalise: Normalisation = "output",
    *,
    threads: int | None = None,
) -> CpmResult:
    """Make the cellularity prediction map of a patient.

    Parameters
    ----------
    images
        T1w, T1wGd and FLAIR in scanner units and ADC in 1e-6 mm2/s, on one grid with axes R, A, S
        and the model's voxel size in the plane.
    mask
        Brain: 1 inside, 0 outside; on the same grid.
    threads
        All processors that this process may use if None. The result is the same.

    Raises
    ------
    DatasetError
        If the images do not fit the model or each other, the ADC is in another unit, no voxel has
        a value, or there is no variation to divide by.
    """
    check_normalisation(model.card, normalise)
    volumes, inside = _model_inputs(model.card, images, mask)
    if normalise == "input":
        for name, values in zip(CONTRASTS, volumes, strict=True):
            values /= np.float32(brain_sd(values[inside], name))
    raw = _raw(model, volumes, inside, threads)
    known = np.isfinite(raw)
    if not known.any():
        found = "no voxel of the brain with all neighbours in all contrasts"
        remedy = "check that the contrasts cover the brain"
        raise fault("model inputs", found, "images of one head", remedy)
    if normalise != "input":
        _check_adc_unit(model.card, volumes[CONTRASTS.index("ADC")][known])
    if normalise == "output":
        factor, raw_sd = output_factor(raw[known], model.card.reference_sd)
    else:  # a constant map is an answer, as long as nothing is divided by its deviation
        factor, raw_sd = 1.0, float(raw[known].std(dtype=float))
    outside, share = _extrapolation(model, volumes, known)
    image = make_image(raw * np.float32(factor), mask.affine)
    return CpmResult(image, raw_sd, factor, make_image(outside, mask.affine), share)


def predict_map(
    model: CpmModel, images: Mapping[str, Image], mask: Image, *, threads: int | None = None
) -> nib.Nifti1Image:
    """Return the raw map; arguments and errors as `cellularity_map`."""
    volumes, inside = _model_inputs(model.card, images, mask)
    return make_image(_raw(model, volumes, inside, threads), mask.affine)


def predict_at(model: CpmModel, volumes: np.ndarray, voxels: np.ndarray) -> np.ndarray:
    """Ask the forest about a few voxels, in one thread and without a copy of the images.

    Arguments as `cpmlib.cpm.features.patches_at`. Returns (n,) float64, cells/mm2, not normalised,
    equal to `predict_map` when rounded to float32; NaN where a patch has no value.
    """
    return model.forest.predict(patches_at(volumes, voxels))


def _model_inputs(
    card: ModelCard, images: Mapping[str, Image], mask: Image
) -> tuple[np.ndarray, np.ndarray]:
    """Check images against a model; return them, (4, X, Y, Z) float32, and the brain."""
    every = ", ".join(CONTRASTS)
    if lacking := [name for name in CONTRASTS if name not in images]:
        raise fault("model inputs", f"no {' and no '.join(lacking)}", every, "add it")
    if extra := sorted(map(str, set(images) - set(CONTRASTS))):
        found = f"{', '.join(extra)} besides the model's inputs"
        raise fault("model inputs", found, f"{every} only", "leave it out")
    inside = _inside(as_volume(mask, "brain mask"))
    shape = mask.shape
    padded = len(CONTRASTS) * shape[2] * (shape[0] + 2 * REACH) * (shape[1] + 2 * REACH)
    if padded > MAX_INDEX:
        raise fault("brain mask", f"a grid of {shape}", "a grid of one head", "crop the images")
    _check_grid(card, mask.affine)
    # Stored as NIfTI files are, the first axis running fastest.
    volumes = np.empty((len(CONTRASTS), *shape[::-1]), dtype=np.float32).transpose(0, 3, 2, 1)
    for name, target in zip(CONTRASTS, volumes, strict=True):
        image = images[name]
        same = tuple(image.shape) == shape
        if not same or not np.allclose(image.affine, mask.affine, rtol=0, atol=SAME_GRID):
            found = f"a grid of {tuple(image.shape)} that is not the mask's of {shape}"
            raise fault(name, found, "all contrasts on one grid", "resample them to one grid")
        target[:] = as_volume(image, name).data
    return volumes, inside


def _inside(mask: Volume) -> np.ndarray:
    values = np.nan_to_num(mask.data, nan=0.0)
    if not np.isin(values, (0, 1)).all():
        found, remedy = "values other than 0 and 1", "threshold the mask"
        raise fault("brain mask", found, "1 inside, 0 outside", remedy)
    if not values.any():
        remedy = "check how the mask was made"
        raise fault("brain mask", "no voxel inside", "the voxels of the brain", remedy)
    return values > 0


def _check_grid(card: ModelCard, affine: np.ndarray) -> None:
    axes = "".join(nib.aff2axcodes(affine))
    if axes != "RAS":
        expected = "axes that run to right, anterior and superior"
        raise fault("grid", f"axes {axes}", expected, "reorder the axes of all images")
    size = nib.affines.voxel_sizes(affine)[:2]
    if (np.abs(size / card.voxel_size - 1) > MAX_VOXEL_DIFFERENCE).any():
        found = f"voxels of {size[0]:.3g} x {size[1]:.3g} mm in the plane"
        expected = f"the model's {card.voxel_size:.3g} mm to within {MAX_VOXEL_DIFFERENCE:.0%}"
        raise fault("grid", found, expected, "resample the images to the model's voxel size")


def _check_adc_unit(card: ModelCard, adc: np.ndarray) -> None:
    median, usual = float(np.nanmedian(adc)), card.training_median["ADC"]
    if not usual / ADC_FACTOR < median < usual * ADC_FACTOR:
        found = f"a median of {median:g} in the brain"
        expected = f"a value near {usual:.0f}, in {card.units['ADC']}"
        raise fault("ADC", found, expected, "convert the map to that unit")


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
        total = sum_leaves(padded.reshape(-1), starts, nodes, model.forest.root, threads)
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
        # Limits are float32 numbers of the training patches, so that they are compared exactly.
        low, high = np.array(model.card.training_range[name], dtype=np.float32)
        outside = any_in_patch((values < low) | (values > high))
        share[name] = float(outside[known].mean())
        count += outside
    share["any"] = float((count[known] > 0).mean())
    count[~known] = np.nan
    return count, share


def _percent(share: float) -> str:
    """Write a share so that neither a little becomes none nor most becomes all."""
    percent = 100 * share
    if percent < 1:
        return "less than 1 %"
    return "more than 99 %" if 99 < percent < 100 else f"{percent:.0f} %"
