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
from scipy import ndimage, stats
from scipy.spatial.transform import Rotation

from cpmlib.mri.volume import resample_to

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


def thick(
    image: nib.Nifti1Image,
    size: tuple[float, float, float] = (0.9, 0.9, 5.5),
    degrees: tuple[float, float, float] = (12, -8, 6),
) -> nib.Nifti1Image:
    """Return an image as a clinical scanner gives it: thick oblique slices about its middle."""
    shape = np.array(image.shape)
    edge = np.array(size)
    count = np.ceil(shape * image.header.get_zooms() / edge).astype(int)
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix() * edge
    centre = nib.affines.apply_affine(image.affine, (shape - 1) / 2)
    affine[:3, 3] = centre - affine[:3, :3] @ ((count - 1) / 2)
    values = np.asarray(resample_to(image, affine, tuple(count)).dataobj)
    return nib.Nifti1Image(np.nan_to_num(values), affine)


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


@cache
def examination() -> tuple[dict[str, nib.Nifti1Image], nib.Nifti1Image]:
    """Return the four contrasts of the template, with a lesion, and its brain mask; 2 mm.

    By formula from the template's T1: dark fluid and bright grey matter on FLAIR, a high ADC in
    fluid. The ranges are those of the small model of `cpm.toy`; there is no signal outside.
    """
    t1, mask, _ = template()
    d, brain = np.asarray(t1.dataobj), np.asarray(mask.dataobj) > 0
    x = nib.affines.apply_affine(t1.affine, np.moveaxis(np.indices(d.shape), 0, -1))
    lesion = np.exp(-((np.linalg.norm(x - [28, -15, 28], axis=-1) / 15) ** 4))
    ramp = 0.02 * (x[..., 0] + 2 * x[..., 1] - x[..., 2])  # so that no two places are alike
    images = {
        "T1w": 380 + 140 * d - 20 * lesion + ramp,
        "T1wGd": 380 + 140 * d + 120 * lesion + ramp,
        "FLAIR": 560 - 200 * d + 150 * lesion - ramp,
        "ADC": 1300 - 500 * d - 250 * lesion + ramp,
    }
    made = {k: nib.Nifti1Image((v * brain).astype("f4"), t1.affine) for k, v in images.items()}
    return made, mask


@cache
def bolus() -> nib.Nifti1Image:
    """Return a susceptibility series of the template in 4-mm voxels, 1.5 s apart, echo at 30 ms.

    Blood volume is 1 in white matter and 2.2 elsewhere, nothing leaks.
    """
    _, mask, white = template()
    affine = mask.affine @ np.diag([2.0, 2, 2, 1])
    affine[:3, 3] = mask.affine[:3, 3] + 1
    share, brain = _halved(white), _halved(mask) > 0.5
    volume = np.where(brain, 2.2 - 1.2 * share, 0)
    before = np.where(brain, 900 - 400 * share, 1.0)
    series = dsc_series(volume, before, 1.5 * np.arange(60), np.random.default_rng(0), 9.0)
    return nib.Nifti1Image(series, affine)


def dsc_series(
    volume: np.ndarray,
    before: np.ndarray,
    times: np.ndarray,
    rng: np.random.Generator,
    sd: float,
) -> np.ndarray:
    """Return signals, (X, Y, Z, T) float32, while a bolus passes that does not leak; echo 30 ms.

    dR2* is the blood volume times a gamma variate (Thompson et al. 1964, Circ Res 14:502) that
    arrives after 20 s and lowers the signal of a volume of 1 by about a fifth; Rician noise.
    """
    passing = 50 * stats.gamma.pdf(times, 4, loc=20, scale=1.8)
    signal = before[..., None] * np.exp(-0.03 * volume[..., None] * passing)
    real, imaginary = sd * rng.standard_normal((2, *signal.shape))
    return np.hypot(signal + real, imaginary).astype(np.float32)


def _halved(image: nib.Nifti1Image) -> np.ndarray:
    x, y, z = (n // 2 for n in image.shape)
    values = np.asarray(image.dataobj)[: 2 * x, : 2 * y, : 2 * z]
    return values.reshape(x, 2, y, 2, z, 2).mean(axis=(1, 3, 5))


def diffusion() -> tuple[nib.Nifti1Image, np.ndarray, np.ndarray]:
    """Return a series whose mean diffusivity is the ADC of `examination`, b-values, directions.

    The directions are the six axes of an icosahedron.
    """
    adc = np.asarray(examination()[0]["ADC"].dataobj)
    t1, mask, _ = template()
    inside = np.asarray(mask.dataobj) > 0
    base = np.where(inside, np.clip(1500 * (1.15 - np.asarray(t1.dataobj)), 300, 1500), 0)
    g = (1 + 5**0.5) / 2
    axes = np.array([[0, 1, g], [0, 1, -g], [1, g, 0], [1, -g, 0], [g, 0, 1], [-g, 0, 1]])
    bvals = np.r_[0.0, np.full(len(axes), 1000.0)]
    bvecs = np.vstack([np.zeros(3), axes / np.hypot(1, g)])
    series = base[..., None] * np.exp(-bvals * 1e-6 * adc[..., None])
    return nib.Nifti1Image(series.astype(np.float32), t1.affine), bvals, bvecs
