"""Where the brain is on a T1-weighted image; a study's own mask is checked and used instead.

The brain is the largest piece of bright tissue that stays in one piece when everything thinner than
a few mm (vessels, meninges, optic nerves, skin) is eroded, and that does not reach the skin. No
trained network is used, so a lesion of any kind is treated as the rest is. Where the head has its
skull, the mask must agree with that of a template; else that of the template is taken.

Vocabulary
----------
- *head*: everything inside the skin, filled.
- *bright tissue*: voxels brighter on T1 than cerebrospinal fluid, bone and air.
- *core*: bright tissue at least a radius (mm) away from anything else.
"""

from __future__ import annotations

from dataclasses import replace

import nibabel as nib
import numpy as np
from scipy import ndimage
from skimage.filters import threshold_otsu

from cpmlib.mri.multiresolution import lowest_value
from cpmlib.mri.template_mask import template_mask
from cpmlib.mri.volume import WORKING_VOXEL, Image, Volume, as_volume, make_image, reference_grid
from cpmlib.study.errors import fault

MIN_BRAIN, MAX_BRAIN = 500.0, 2300.0
"""Volumes between which an intracranial content of a child or an adult lies, ml."""

MIN_INSIDE = 0.5
"""A study's mask of which a smaller share lies in the reference does not belong to it."""

RADII = (2.5, 3.5, 4.5, 5.5, 6.5, 8.0)
"""Radii of erosion, mm; the first that separates the brain from the skin is taken."""

SKIN_AND_SKULL = 5.0
"""A core that reaches nearer than this to the air is not all brain, mm."""

FLUID = 0.55
"""Cerebrospinal fluid is darker on T1 than this share of the brain's median."""

DEEP = 15.0
"""Deeper than this below the skin, most of a head is brain, mm."""

MIN_ONE_PIECE = 0.85
"""In an image without the skull, at least this share of the filled foreground is one piece."""

BIAS_WIDTH = 25.0
"""Standard deviation of the Gaussian that estimates the coil's smooth shading, mm."""

MIN_DICE = 0.92
"""Overlap (Dice) with the template's mask of one that can be trusted. On real heads it was
0.94 and more; masks that took in orbit, scalp or neck had 0.91 and less."""

SULCUS = 6.0
"""Sulci narrower than twice this are closed, mm."""


def find_brain(t1: Image, name: str = "T1w") -> tuple[nib.Nifti1Image, list[str]]:
    """Find the brain on a T1-weighted image, called `name`, with or without the skull.

    Returns a mask, uint8 on the grid of `t1`, with ventricles and sulci, and notes on one that
    should be looked at.

    Examples
    --------
    >>> i, j, k = np.ogrid[-25:25, -25:25, -25:25]
    >>> r = 4 * np.sqrt(i**2 + j**2 + k**2)
    >>> head = np.select([r < 68, r < 76, r < 84], [600, 20, 900], 0)
    >>> mask, _ = find_brain(Volume(head, np.diag([4.0, 4, 4, 1])))
    >>> bool(abs(as_volume(mask).ml / (4 / 3 * np.pi * 6.8**3) - 1) < 0.05)
    True
    """
    volume = as_volume(t1, name)
    lowest_value(volume, "a T1-weighted head")
    coarse = volume.resampled(reference_grid(volume, WORKING_VOXEL))
    lowest = np.nanmin(coarse.data)
    # Stripped images hold no value, or the lowest one, outside the brain.
    outside = np.isnan(coarse.data) | (coarse.data == lowest)
    head = replace(coarse, data=np.where(outside, 0, coarse.data - lowest))
    found, skull = _segment(head.data, outside)
    found, notes = _checked(found, head) if skull else (found, [])
    # A smoothed edge lets the mask follow it on a finer grid without steps.
    soft = ndimage.gaussian_filter(found.astype(np.float32), 0.7)
    inside = replace(coarse, data=soft).resampled(volume.grid).inside & ~np.isnan(volume.data)
    remedy = "look at the image; if it is a whole head, supply a brain mask with the study"
    _check_ml(replace(volume, data=inside), remedy)
    return make_image(inside.astype(np.uint8), volume.affine), notes


def check_mask(mask: Image, reference: Image, name: str = "the brain mask") -> None:
    """Refuse what is no brain mask, has no plausible volume, or does not fit the reference.

    Called `name` in messages; in any grid; a probability from 0 to 1, or one label for the brain
    and 0 elsewhere.

    Examples
    --------
    >>> affine = np.diag([10.0, 10, 10, 1])
    >>> inner = np.zeros((14, 14, 14))
    >>> inner[2:12, 2:12, 2:12] = 1
    >>> check_mask(Volume(inner, affine), Volume(np.ones((14, 14, 14)), affine))
    """
    volume = as_volume(mask, name)
    data = volume.data[~np.isnan(volume.data)]
    remedy = "supply a mask of the whole brain, 1 inside and 0 outside, or none"
    if not (data > 0.5).any():
        expected = "values above 0.5 in the brain"
        raise fault(volume.name, "no voxel in the brain", expected, remedy)
    if data.min() < 0 or (data.max() > 1 and len(np.unique(data)) > 2):
        found = f"values from {data.min():g} to {data.max():g}"
        raise fault(volume.name, found, "0 and 1, or a probability", remedy)
    _check_ml(volume, remedy)
    share = volume.resampled(as_volume(reference).grid, "nearest").ml / volume.ml
    if share < MIN_INSIDE:
        found = f"{100 * share:.0f} % of it in the reference's field of view"
        raise fault(volume.name, found, f"at least {100 * MIN_INSIDE:.0f} %", remedy)


def _check_ml(mask: Volume, remedy: str) -> None:
    if not MIN_BRAIN <= mask.ml <= MAX_BRAIN:
        expected = f"{MIN_BRAIN:.0f} to {MAX_BRAIN:.0f} ml"
        raise fault(mask.name, f"a brain of {mask.ml:.0f} ml", expected, remedy)


def _checked(found: np.ndarray, head: Volume) -> tuple[np.ndarray, list[str]]:
    """Compare a mask with the template's; return the better one, and what to say of it."""
    remedy = "look at its outline, or supply a brain mask with the study"
    for quick in (True, False):
        template = template_mask(head, quick=quick)
        if template is not None:
            other = np.asarray(template.dataobj) > 0
            agreement = 2 * (found & other).sum() / (found.sum() + other.sum())
            if agreement >= MIN_DICE:
                return found, []
    if template is None:
        said = f"brain mask: found on {head.name}, but no template fits that could confirm it"
        return found, [f"{said}; {remedy}"]
    said = f"what was found on {head.name} itself overlaps with it by {agreement:.2f} only (Dice)"
    return other, [f"brain mask: that of the MNI152 template, brought over; {said}; {remedy}"]


def _segment(work: np.ndarray, outside: np.ndarray) -> tuple[np.ndarray, bool]:
    """Return the brain, and whether there is a skull around it."""
    head = _head(work)
    inside = _distance(head)
    if (inside > DEEP).sum() < 2:
        return np.zeros_like(head), False
    flat = _without_shading(work, head)
    level = FLUID * float(np.median(flat[inside > DEEP]))
    tissue = head & (flat > level)
    inner = _distance(tissue)
    if outside.mean() > 0.1 and _is_stripped(head, tissue, inner):
        return _fill(head & ~outside), False
    core, radius = _core(inner, inside)
    if core.any():  # once more, with the brain's own brightness
        tissue = head & (flat > FLUID * float(np.median(flat[core])))
        core, radius = _core(_distance(tissue), inside)
    return _fill(_dilate_in_tissue(core, radius, tissue)), True


def _distance(mask: np.ndarray) -> np.ndarray:
    """Return the distance to what is outside a mask, mm; the image's edge does not count."""
    if mask.all():
        return np.full(mask.shape, np.inf)
    return ndimage.distance_transform_edt(mask) * WORKING_VOXEL


def _head(work: np.ndarray) -> np.ndarray:
    smooth = ndimage.gaussian_filter(work, 1.0)
    bright = np.percentile(smooth[smooth > 0], 98)
    level = 0.5 * threshold_otsu(np.clip(smooth, 0, bright))
    return _fill(_largest(smooth > level))


def _without_shading(work: np.ndarray, head: np.ndarray) -> np.ndarray:
    """Divide by the local mean of what is neither dark nor very bright."""
    inside = work[head]
    middle = threshold_otsu(np.clip(inside, 0, np.percentile(inside, 98)))
    use = (head & (work >= 0.8 * middle)).astype(np.float32)
    usual = float(np.median(work[use > 0]))
    sigma = BIAS_WIDTH / WORKING_VOXEL
    capped = np.minimum(work, 1.5 * usual) * use
    weight = ndimage.gaussian_filter(use, sigma, truncate=2.5)
    shading = ndimage.gaussian_filter(capped, sigma, truncate=2.5)
    return np.divide(work * weight, shading, out=np.zeros_like(work), where=head & (weight > 1e-3))


def _is_stripped(head: np.ndarray, tissue: np.ndarray, inner: np.ndarray) -> bool:
    """Say whether nearly all of the head is one piece of tissue of a brain's size."""
    if head.sum() * WORKING_VOXEL**3 / 1000 > MAX_BRAIN:
        return False
    piece = _fill(_dilate_in_tissue(_largest(inner > RADII[0]), RADII[0], tissue))
    return bool(piece.sum() > MIN_ONE_PIECE * head.sum())


def _core(inner: np.ndarray, depth: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the first core that does not reach the skin, and its radius."""
    best, least, taken = inner > RADII[0], np.inf, RADII[0]
    for radius in RADII:
        core = _largest(inner > radius)
        if not core.any():
            break
        near_skin = float((depth[core] < SKIN_AND_SKULL + radius).mean())
        if near_skin < least:
            best, least, taken = core, near_skin, radius
        if near_skin < 0.002:
            break
    return best, taken


def _dilate_in_tissue(core: np.ndarray, radius: float, tissue: np.ndarray) -> np.ndarray:
    """Dilate a core, within tissue, by a little more than it was eroded."""
    result = np.zeros_like(core)
    if core.any():
        box = _around(core, radius + 1)
        result[box] = _largest((_distance(~core[box]) <= radius + 1) & tissue[box])
    return result


def _around(mask: np.ndarray, margin: float) -> tuple[slice, ...]:
    """Return the box of a mask and a margin, mm; distances are costly outside."""
    more = int(margin / WORKING_VOXEL) + 1
    found = ndimage.find_objects(mask.astype(np.uint8))[0]
    return tuple(slice(max(axis.start - more, 0), axis.stop + more) for axis in found)


def _largest(mask: np.ndarray) -> np.ndarray:
    labels, n = ndimage.label(mask)
    if n < 2:
        return mask
    return labels == np.bincount(labels.ravel())[1:].argmax() + 1


def _fill(mask: np.ndarray) -> np.ndarray:
    """Close sulci and fill the ventricles."""
    if not mask.any():
        return mask
    box = _around(mask, 0)
    width = int(SULCUS / WORKING_VOXEL) + 1
    padded = np.pad(mask[box], width)
    closed = _distance(_distance(~padded) <= SULCUS) > SULCUS
    filled = ndimage.binary_fill_holes(closed | padded)
    result = np.zeros_like(mask)
    result[box] = filled[(slice(width, -width),) * 3]
    return result
