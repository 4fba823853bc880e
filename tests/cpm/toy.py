"""A small cohort whose density is known, and small images that a model of it can be asked about."""

from __future__ import annotations

from functools import cache

import nibabel as nib
import numpy as np
from scipy import ndimage

from cpmlib.cpm.model_file import CpmModel
from cpmlib.cpm.slices import AutopsySlice
from cpmlib.cpm.training import TrainingReport, train
from cpmlib.mri.images import CONTRASTS

VOXEL = 2.0
AFFINE = np.diag([VOXEL, VOXEL, VOXEL, 1.0])
N_PATIENTS = 10


def contrasts(
    shape: tuple[int, ...], rng: np.random.Generator
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Four contrasts and the density behind them; only together do they tell it."""
    smooth = [ndimage.gaussian_filter(rng.standard_normal(shape), 2.0) for _ in range(2)]
    cells, water = (values / values.std() for values in smooth)
    density = 1500 + 400 * cells
    signal = {
        "T1w": 500 - 40 * water,
        "T1wGd": 500 + 80 * cells - 40 * water,
        "FLAIR": 400 + 90 * water,
        "ADC": 1000 - 150 * cells + 200 * water,
    }
    noisy = {k: (v + 8 * rng.standard_normal(shape)).astype(np.float32) for k, v in signal.items()}
    return noisy, density.astype(np.float32)


def cohort(seed: int = 0, *, brain: bool = True) -> list[AutopsySlice]:
    """Two slices of each patient; cells were counted in the middle of each."""
    rng = np.random.default_rng(seed)
    slices = []
    for number in range(2 * N_PATIENTS):
        images, density = contrasts((28, 24), rng)
        inside = np.zeros(density.shape, dtype=bool)
        inside[2:-2, 2:-2] = True
        counted = np.where(ndimage.binary_erosion(inside, iterations=3), density, np.nan)
        scale = {name: float(values[inside].std()) for name, values in images.items()}
        slices.append(
            AutopsySlice(
                f"p{number // 2}",
                images,
                counted.astype(np.float32),
                VOXEL,
                scale,
                inside if brain else None,
            )
        )
    return slices


@cache
def trained(input_scaling: str = "none") -> tuple[CpmModel, TrainingReport]:
    """A small model."""
    return train(
        cohort(),
        seed=1,
        input_scaling=input_scaling,
        n_trees=12,
        leaf_sizes=(3, 30),
        patches_per_slice=150,
        n_jobs=1,
    )


def patient(
    shape: tuple[int, int, int] = (20, 22, 6), seed: int = 5
) -> tuple[dict[str, nib.Nifti1Image], nib.Nifti1Image]:
    """Images and brain mask of a patient whom the model has not seen."""
    images, _ = contrasts(shape, np.random.default_rng(seed))
    mask = np.zeros(shape, dtype=np.uint8)
    mask[3:-3, 3:-3, 1:-1] = 1
    volumes = {name: nib.Nifti1Image(values, AFFINE) for name, values in images.items()}
    return volumes, nib.Nifti1Image(mask, AFFINE)


def stack(images: dict[str, nib.Nifti1Image]) -> np.ndarray:
    return np.stack([np.asarray(images[name].dataobj) for name in CONTRASTS])


def patches_by_numpy(volumes: np.ndarray) -> np.ndarray:
    """Patches of all voxels, (X, Y, Z, 100), by NumPy's own padding and windows."""
    padded = np.pad(volumes, ((0, 0), (2, 2), (2, 2), (0, 0)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (5, 5), axis=(1, 2))
    return windows.transpose(1, 2, 3, 0, 4, 5).reshape(*volumes.shape[1:], 100)
