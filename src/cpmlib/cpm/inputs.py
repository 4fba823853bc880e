"""Whether a patient's images fit a model, and how they are handed to it.

Vocabulary
----------
- *normalise*: what is divided by its standard deviation over the whole brain: ``"output"`` the
  finished map, ``"input"`` each contrast, ``"none"`` nothing.
- *brain*: the voxels of the mask that is given with the images.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

import nibabel as nib
import numpy as np

from cpmlib.cpm.card import InputScaling, ModelCard
from cpmlib.cpm.features import REACH
from cpmlib.cpm.traversal import LARGEST_INDEX
from cpmlib.mri.images import CONTRASTS
from cpmlib.mri.volume import Volume, as_volume
from cpmlib.study.errors import DatasetError, Problem

Normalisation = Literal["output", "input", "none"]
NEEDS: Mapping[str, InputScaling] = {
    "output": "none",
    "none": "none",
    "input": "whole-brain SD",
}
"""How the model's training inputs must have been scaled for each normalisation."""

MAX_VOXEL_DIFFERENCE = 0.10
"""In-plane voxels may differ from the model's by this share."""

SAME_GRID = 1e-3
"""Affines that agree to this many mm are taken as equal."""

ADC_FACTOR = 4.0
"""An ADC whose median in the brain is this many times the training median, or less than one such
part of it, is in another unit: the units in use are a factor of 1000 or more apart."""


def check_normalisation(card: ModelCard, normalise: str) -> None:
    """Refuse a normalisation for which the model was not trained.

    Raises
    ------
    ValueError
        For an unknown normalisation.
    DatasetError
        If the model's inputs were scaled otherwise.
    """
    if normalise not in get_args(Normalisation):
        raise ValueError(f"normalise is {normalise!r}; expected one of {get_args(Normalisation)}")
    if NEEDS[normalise] != card.input_scaling:
        raise DatasetError(
            Problem(
                card.label,
                f"a model trained with input scaling '{card.input_scaling}'",
                f"input scaling '{NEEDS[normalise]}' for normalise = '{normalise}'",
                "choose the other normalisation, or a model trained for this one",
            )
        )


def model_inputs(
    card: ModelCard, images: Mapping[str, nib.Nifti1Image | Volume], mask: nib.Nifti1Image | Volume
) -> tuple[np.ndarray, np.ndarray]:
    """Check images against a model and stack them in its order.

    Parameters
    ----------
    card
        Of the model.
    images
        The four contrasts on one grid with axes R, A, S.
    mask
        Brain: 1 inside, 0 (or NaN) outside; on the same grid.

    Returns
    -------
    volumes : (4, X, Y, Z) float32
        NaN where a contrast has no value.
    inside : (X, Y, Z) bool

    Raises
    ------
    DatasetError
        For a contrast too few or too many, grids that differ, another orientation or voxel size,
        infinities, and a mask that is empty or no mask.
    """
    _check_names(images)
    inside = _inside(mask)
    grid = mask.affine
    shape = mask.shape
    padded = len(CONTRASTS) * shape[2] * (shape[0] + 2 * REACH) * (shape[1] + 2 * REACH)
    if padded > LARGEST_INDEX:
        raise _fault("brain mask", f"a grid of {shape}", "a grid of one head", "crop the images")
    _check_grid(card, grid)
    # Stored as NIfTI files are, the first axis running fastest.
    volumes = np.empty((len(CONTRASTS), *shape[::-1]), dtype=np.float32).transpose(0, 3, 2, 1)
    for name, target in zip(CONTRASTS, volumes, strict=True):
        image = images[name]
        target_shape = tuple(image.shape)
        if target_shape != shape or not np.allclose(image.affine, grid, rtol=0, atol=SAME_GRID):
            found = f"a grid of {target_shape} that is not the mask's of {shape}"
            raise _fault(name, found, "all contrasts on one grid", "resample them to one grid")
        target[:] = as_volume(image, name).data
    return volumes, inside


def check_adc_unit(card: ModelCard, adc: np.ndarray) -> None:
    """Refuse an ADC in another unit than that of the training.

    Parameters
    ----------
    card
        Of a model whose inputs were not scaled.
    adc : (n,) float32
        Values in the brain.

    Raises
    ------
    DatasetError
        If their median is out of proportion to that of the training.
    """
    median, usual = float(np.nanmedian(adc)), card.training_median["ADC"]
    if not usual / ADC_FACTOR < median < usual * ADC_FACTOR:
        found = f"a median of {median:g} in the brain"
        expected = f"a value near {usual:.0f}, in {card.units['ADC']}"
        raise _fault("ADC", found, expected, "convert the map to that unit")


def brain_sd(values: np.ndarray, name: str) -> float:
    """Return the standard deviation of the values in a brain; NaN are left out.

    Parameters
    ----------
    values : (n,)
        Values inside the mask.
    name
        What to call them in a message.

    Raises
    ------
    DatasetError
        If there are fewer than two values or they do not vary.
    """
    known = values[np.isfinite(values)].astype(np.float64)
    sd = float(known.std()) if len(known) > 1 else 0.0
    if not sd > 1e-9 * float(np.abs(known).max(initial=0)):
        found = f"{len(known)} values that do not vary within the brain"
        raise _fault(name, found, "an image of a brain", "check image and brain mask")
    return sd


def _check_names(images: Mapping[str, nib.Nifti1Image | Volume]) -> None:
    lacking = [name for name in CONTRASTS if name not in images]
    if lacking:
        found, remedy = f"no {' and no '.join(lacking)}", "add it"
        raise _fault("model inputs", found, f"{', '.join(CONTRASTS)}", remedy)
    extra = sorted(set(images) - set(CONTRASTS))
    if extra:
        found = f"{', '.join(map(str, extra))} besides the model's inputs"
        raise _fault("model inputs", found, f"{', '.join(CONTRASTS)} only", "leave it out")


def _inside(mask: nib.Nifti1Image | Volume) -> np.ndarray:
    values = np.nan_to_num(as_volume(mask, "brain mask").data, nan=0.0)
    if not np.isin(values, (0, 1)).all():
        remedy = "threshold the mask"
        raise _fault("brain mask", "values other than 0 and 1", "1 inside, 0 outside", remedy)
    inside = values > 0
    if not inside.any():
        remedy = "check how the mask was made"
        raise _fault("brain mask", "no voxel inside", "the voxels of the brain", remedy)
    return inside


def _check_grid(card: ModelCard, affine: np.ndarray) -> None:
    axes = "".join(nib.aff2axcodes(affine))
    if axes != "RAS":
        expected = "axes that run to right, anterior and superior"
        raise _fault("grid", f"axes {axes}", expected, "reorder the axes of all images")
    size = nib.affines.voxel_sizes(affine)[:2]
    if (np.abs(size / card.voxel_size - 1) > MAX_VOXEL_DIFFERENCE).any():
        found = f"voxels of {size[0]:.3g} x {size[1]:.3g} mm in the plane"
        expected = f"the model's {card.voxel_size:.3g} mm to within {MAX_VOXEL_DIFFERENCE:.0%}"
        raise _fault("grid", found, expected, "resample the images to the model's voxel size")


def _fault(name: str, found: str, expected: str, remedy: str) -> DatasetError:
    return DatasetError(Problem(name, found, expected, remedy))
