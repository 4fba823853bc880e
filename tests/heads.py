"""Synthetic heads around the MNI152 template, for tests of what needs a skull."""

from __future__ import annotations

from functools import cache

import nibabel as nib
import numpy as np
from nilearn.datasets import (
    load_mni152_brain_mask,
    load_mni152_template,
    load_mni152_wm_template,
)
from scipy import ndimage

FLUID, BONE, MARROW, FAT, MUSCLE, DURA = 0.18, 0.06, 0.35, 1.0, 0.6, 0.8
"""Brightness on T1; the template's white matter is 0.87 and its grey matter 0.65."""


@cache
def template(voxel_size: int = 2) -> tuple[nib.Nifti1Image, nib.Nifti1Image, nib.Nifti1Image]:
    """Return the skull-stripped T1 template, its brain mask and white-matter share."""
    loaders = (load_mni152_template, load_mni152_brain_mask, load_mni152_wm_template)
    images = [load(resolution=voxel_size) for load in loaders]
    first, mask, white = (
        nib.Nifti1Image(np.asarray(image.dataobj).astype(np.float32), image.affine)
        for image in images
    )
    return first, mask, white


@cache
def head(
    voxel_size: int = 2,
    *,
    skull: float = 6.0,
    scalp: float = 6.0,
    bias: float = 0.2,
    noise: float = 0.03,
    dura: bool = False,
    lesion: bool = False,
    margin: int = 20,
    seed: int = 0,
) -> tuple[nib.Nifti1Image, nib.Nifti1Image]:
    """Return a T1-weighted head and the brain mask.

    Around the brain lie 3 mm of fluid, bone with marrow, fat, and below a neck with its cord; the
    thickness of the fluid varies. `bias` and `noise` are relative (peak shading; standard
    deviation of Rician noise over the brightness of fat).
    """
    rng = np.random.default_rng(seed)
    first, mask, _ = template(voxel_size)
    pad = margin // voxel_size
    brain = np.pad(np.asarray(mask.dataobj) > 0, pad)
    out = np.pad(np.asarray(first.dataobj), pad) * brain
    affine = first.affine.copy()
    affine[:3, 3] -= pad * voxel_size
    i, j, k = np.ogrid[tuple(slice(n) for n in brain.shape)]
    x, y, z = (voxel_size * n + o for n, o in zip((i, j, k), affine[:3, 3], strict=True))
    distance = ndimage.distance_transform_edt(~brain) * voxel_size
    fluid = 3 * (1 + 0.4 * np.clip(smooth(rng, brain.shape, 15 / voxel_size), -1.5, 1.5))
    beyond = distance - fluid
    out[~brain & (beyond <= 0)] = FLUID
    if dura:
        out[(beyond > -1.2) & (beyond <= 1) & ~brain] = DURA
    bone = (beyond > (1 if dura else 0)) & (beyond <= skull)
    out[bone] = BONE
    out[bone & (beyond > 0.35 * skull) & (beyond <= 0.65 * skull)] = MARROW
    out[(beyond > skull) & (beyond <= skull + scalp)] = FAT
    neck, cord = np.hypot(x, y + 35) < 55, np.hypot(x, y + 45)
    out[neck & (z < -50) & (beyond > skull)] = MUSCLE
    out[(cord < 11) & (z < -60) & ~brain] = FLUID
    out[(cord < 7) & (z < -60) & ~brain] = DURA
    if lesion:
        from_centre = np.sqrt((x - 35) ** 2 + (y + 10) ** 2 + (z - 35) ** 2)
        out[brain & (from_centre < 20)] = 1.6
        out[brain & (from_centre < 14)] = 0.25
    shading = smooth(rng, brain.shape, 40 / voxel_size)
    out = out * (1 + bias * shading / np.abs(shading).max())
    real, imaginary = (rng.normal(0, noise, brain.shape) for _ in range(2))
    out = 500 * np.hypot(out + real, imaginary)
    return (
        nib.Nifti1Image(out.astype(np.float32), affine),
        nib.Nifti1Image(brain.astype(np.uint8), affine),
    )


def smooth(rng: np.random.Generator, shape: tuple[int, ...], sigma: float) -> np.ndarray:
    """Return a smooth random field with a standard deviation of 1."""
    # Drawn on a coarse grid: a wide Gaussian over a fine one takes seconds.
    step = max(int(sigma / 2), 1)
    coarse = ndimage.gaussian_filter(rng.standard_normal([n // step + 2 for n in shape]), 2)
    field = ndimage.affine_transform(coarse, [1 / step] * 3, output_shape=shape, order=1)
    return field / field.std()


def dice(first: nib.Nifti1Image, second: nib.Nifti1Image) -> float:
    a, b = (np.asarray(image.dataobj) > 0.5 for image in (first, second))
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))
