"""The scanner: native grids, bias field, gain and noise.

Each contrast has its own grid, tilted by some degrees and stored in its own orientation, as series
from a scanner are. All lie in one scanner space, so the contrasts of a patient are aligned in the
world and never voxel by voxel.

Vocabulary
----------
- *native grid*: affine and shape of a series as it was acquired.
- *orientation*: where the three array axes point, such as L, P, S.
- *sub-slice*: one of several thin slices whose mean is a thick slice.
- *bias field*: smooth factor by which the coils' sensitivity varies; mean near 1.
- *SNR of white matter*: its signal over the standard deviation of the noise in one channel.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import nibabel as nib
import numpy as np

from cpmsurrogate.images.anatomy import rotation, sample, smooth_noise
from cpmsurrogate.images.profiles import Profile

ORIENTATIONS: Mapping[str, str] = {
    "T1w": "PIR",
    "T1wGd": "LPS",
    "FLAIR": "LAS",
    "ADC": "LPS",
    "DSC": "RAS",
}
"""Where the array axes of each contrast point; T1w is stored in sagittal slices."""

HEAD = np.array([[-90.0, 90.0], [-126.0, 94.0], [-84.0, 100.0]])
"""Field of view along R, A and S, mm."""

TILT_SD: Mapping[str, float] = {"T1w": 2.0, "T1wGd": 3.0, "FLAIR": 4.0, "ADC": 4.0, "DSC": 4.0}
"""Standard deviation of a grid's rotation about each axis, degrees; cut at two of them."""

NOISE: Mapping[str, float] = {
    "T1w": 14.0,
    "T1wGd": 14.0,
    "FLAIR": 10.0,
    "ADC": 45.0,
    "b0": 8.0,
    "rCBV": 0.0,
    "leakage": 0.0,
}
"""Standard deviation of the noise in one channel, in the contrast's unit (SNR 30 to 45)."""

BIAS: Mapping[str, float] = {"T1w": 0.035, "T1wGd": 0.035, "FLAIR": 0.035, "ADC": 0.0}
"""Standard deviation of the bias field; a quantitative map has none."""

BIAS_WIDTH, BIAS_STEP = 45.0, 15.0
BIAS_ORIGIN = HEAD[:, 0] - 2 * BIAS_STEP
"""Smoothness and grid of the bias field, mm."""

GAIN_SD = 0.025
"""Standard deviation of a series' gain; scanners are taken to be calibrated to a few per cent."""

SUB_SLICE = 2.0
"""Slices are averaged over sub-slices of about this thickness, mm."""

POINTS_AT_ONCE = 400_000
"""Bounds the memory that an image needs while it is made."""

MagnitudeOfContrast = Callable[[np.ndarray], np.ndarray]
"""(N, 3) points in scanner space, mm -> (N,) noise-free signal."""


@dataclass(frozen=True)
class Grid:
    """Where the voxels of a series lie in scanner space (RAS+, mm), and its axis through slices."""

    affine: np.ndarray
    shape: tuple[int, int, int]
    slice_axis: int

    @property
    def voxel(self) -> np.ndarray:
        """(3,) edge lengths along the array axes, mm."""
        return np.linalg.norm(self.affine[:3, :3], axis=0)

    def points(self, start: int, stop: int, shift: float = 0.0) -> np.ndarray:
        """Give the voxel centres of planes `start` to before `stop` of the last array axis.

        They are (N, 3) float32, mm, RAS+, the last axis fastest, moved along the slice axis by
        `shift` voxels.
        """
        axes = [np.arange(n, dtype=np.float32) for n in self.shape]
        axes[2] = axes[2][start:stop]
        axes[self.slice_axis] = axes[self.slice_axis] + np.float32(shift)
        i, j, k = (
            a.reshape(s) for a, s in zip(axes, ((-1, 1, 1), (1, -1, 1), (1, 1, -1)), strict=True)
        )
        affine = self.affine.astype(np.float32)
        parts = [
            affine[r, 0] * i + affine[r, 1] * j + affine[r, 2] * k + affine[r, 3] for r in range(3)
        ]
        return np.stack(parts, axis=-1).reshape(-1, 3)


def native_grid(contrast: str, profile: Profile, rng: np.random.Generator) -> Grid:
    """Place a contrast's native grid over the head, with a random tilt."""
    # The slices of a sagittal series run through R; of the others, through S.
    codes = ORIENTATIONS[contrast]
    slice_axis = codes.index("R") if contrast == "T1w" else codes.index("S")
    in_plane_1, in_plane_2, through = profile.voxel(contrast)
    voxel = np.full(3, in_plane_1)
    voxel[[k for k in range(3) if k != slice_axis][1]] = in_plane_2
    voxel[slice_axis] = through
    direction = np.zeros((3, 3))
    for axis, code in enumerate(codes):
        reverse = code in "LPI"
        direction[("LPI" if reverse else "RAS").index(code), axis] = -1 if reverse else 1
    extent = np.abs(direction).T @ (HEAD[:, 1] - HEAD[:, 0])
    shape = np.ceil(extent / voxel).astype(int)
    tilt = rotation(rng.standard_normal(3).clip(-2, 2) * TILT_SD[contrast])
    linear = tilt @ direction @ np.diag(voxel)
    affine = np.eye(4)
    affine[:3, :3] = linear
    affine[:3, 3] = HEAD.mean(1) - linear @ ((shape - 1) / 2)
    return Grid(affine, (int(shape[0]), int(shape[1]), int(shape[2])), slice_axis)


def sub_slices(thickness: float) -> np.ndarray:
    """Give the offsets of the sub-slices of a slice, in slice thicknesses.

    Examples
    --------
    >>> sub_slices(2.0).tolist(), sub_slices(3.0).tolist()
    ([0.0], [-0.25, 0.25])
    """
    count = max(1, round(thickness / SUB_SLICE))
    return (np.arange(count) + 0.5) / count - 0.5


def expose(magnitude: MagnitudeOfContrast, grid: Grid) -> np.ndarray:
    """Sample a noise-free contrast on a grid, float32; thick slices averaged over sub-slices."""
    result = np.empty(grid.shape, dtype=np.float32)
    step = max(1, POINTS_AT_ONCE // (grid.shape[0] * grid.shape[1]))
    shifts = sub_slices(float(grid.voxel[grid.slice_axis]))
    for start in range(0, grid.shape[2], step):
        stop = min(start + step, grid.shape[2])
        block = (grid.shape[0], grid.shape[1], stop - start)
        mean = np.zeros(block, dtype=np.float32)
        for shift in shifts:
            mean += magnitude(grid.points(start, stop, float(shift))).reshape(block)
        result[:, :, start:stop] = mean / len(shifts)
    return result


def by_plane(read: MagnitudeOfContrast, grid: Grid) -> np.ndarray:
    """Read something at the voxel centres of a grid, a plane at a time to bound the memory."""
    planes = [read(grid.points(k, k + 1)).reshape(*grid.shape[:2], 1) for k in range(grid.shape[2])]
    return np.concatenate(planes, axis=2)


@dataclass(frozen=True)
class Coils:
    """Gain of a series, and its bias field on a grid of `BIAS_STEP`; None for a map."""

    gain: float
    field: np.ndarray | None

    def factor(self, grid: Grid) -> np.ndarray | float:
        """Give the factor at each voxel of a grid: float32, of the grid's shape."""
        if self.field is None:
            return self.gain
        values = sample(self.field, grid.points(0, grid.shape[2]), BIAS_ORIGIN, BIAS_STEP)
        return np.float32(self.gain) * values.reshape(grid.shape)


def draw_coils(contrast: str, rng: np.random.Generator) -> Coils:
    """Draw gain and bias field of a series."""
    if BIAS[contrast] == 0:
        return Coils(1.0, None)
    gain = float(np.exp(GAIN_SD * rng.standard_normal(1).clip(-2, 2)[0]))
    shape = tuple(np.ceil((HEAD[:, 1] - BIAS_ORIGIN) / BIAS_STEP).astype(int) + 3)
    return Coils(gain, np.exp(BIAS[contrast] * smooth_noise(rng, shape, BIAS_WIDTH, BIAS_STEP)))


def noisy(contrast: str, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Add the noise of a scanner and round to whole numbers, 0 to 32767, as a scanner stores them.

    Magnitude images get Rician noise (Gudbjartsson & Patz 1995, Magn Reson Med 34:910), a map that
    was computed from such images Gaussian noise, where it has a signal.
    """
    sd = np.float32(NOISE[contrast])
    image = np.asarray(image, dtype=np.float32)
    real = image + sd * rng.standard_normal(image.shape, dtype=np.float32)
    if contrast == "ADC":
        result = np.where(image > 0, real, 0)
    else:
        result = np.hypot(real, sd * rng.standard_normal(image.shape, dtype=np.float32))
    return np.rint(np.clip(result, 0, 32767))


def acquire(
    contrast: str,
    magnitude: MagnitudeOfContrast,
    grid: Grid,
    coils: Coils,
    rng: np.random.Generator,
) -> nib.Nifti1Image:
    """Make a series in its native grid: exposed, weighted by the coils, noisy; whole float32."""
    data = noisy(contrast, expose(magnitude, grid) * coils.factor(grid), rng)
    image = nib.Nifti1Image(data.astype(np.float32), grid.affine)
    image.set_sform(grid.affine, code="scanner")
    image.set_qform(grid.affine, code="scanner")
    image.header.set_xyzt_units("mm", "sec")
    return image
