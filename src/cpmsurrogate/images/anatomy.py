"""Individual heads: the MNI152 template, bent a little, with a skull and a scalp around it.

Every image samples the template once: a point of scanner space is carried to template space by a
smooth map, and the tissue is read there. No image is ever resampled from another image.
Scanner space is close to MNI space.

Vocabulary
----------
- *template space*: mm, RAS+, of the MNI152 2009a symmetric template in nilearn's wheel.
- *pull-back*: the map from scanner space to template space, x -> A x + u(x); it leaves the targets
  where they are.
- *tissue shares*: shares of grey matter, white matter and cerebrospinal fluid (CSF), and the
  distance outwards from the brain's surface, where skull and scalp lie.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import nibabel as nib
import numpy as np
from numpy.typing import ArrayLike
from scipy import ndimage

CENTRE = np.array([0.0, -17.0, 8.0])
"""About which heads are scaled and turned, mm; the middle of the template's brain."""

SIZE_SD, ROTATION_SD, SHIFT_SD = 0.02, 1.5, 1.0
"""Standard deviations of a head along or about each axis, cut at two of them: of the logarithm of
its size (of its proportions, if a volume is given), of its rotation, degrees, and its shift, mm."""

BEND, BEND_WIDTH = 1.5, 18.0
"""Standard deviation and smoothness (of the Gaussian filter) of the displacement along each axis,
mm. Its gradient has a standard deviation near BEND / (sqrt(2) BEND_WIDTH) = 0.06, far from the -1
at which the map would fold."""

PIN_WIDTH = 30.0
"""Width of the correction that puts each target back to where it was, mm."""

SIZE_STEP = 6.0
SIZE_ROUNDS = 2
"""Spacing of the points by which a brain's volume is measured, mm, and how often its scale is
corrected: what keeps the targets where they are stretches the brain a little."""

GRID_STEP = 6.0
BOX = np.array([[-114.0, 114.0], [-150.0, 120.0], [-96.0, 120.0]])
"""Spacing of the grid that holds the displacement, and the scanner space that it covers, mm; the
displacement is constant beyond it."""

SULCUS = (0.62, 0.28)
"""T1 of the template at which a voxel has no CSF and at which it is all CSF: narrow sulci vanish
in the tissue maps, which are averages over many people, and not in the T1."""

CLOSING, SHELL_STEP, AROUND = 8.0, 3.0, 30.0
"""Fissures narrower than twice the first are closed before the skull is put around the brain; voxel
of the distances from it, and how far they are known beyond the template; mm."""


@dataclass(frozen=True)
class Template:
    """The template's arrays, float32, axes R, A, S.

    `grey`, `white` and `fluid` are shares in voxels of 1 mm, all 0 outside the brain; `outside` is
    the distance outwards from the brain's smoothed surface, mm, negative inside, in voxels of
    `SHELL_STEP` over a larger box. The origins are template coordinates of the first voxels, mm.
    """

    grey: np.ndarray
    white: np.ndarray
    fluid: np.ndarray
    origin: np.ndarray
    outside: np.ndarray
    outside_origin: np.ndarray


@dataclass(frozen=True)
class Tissue:
    """Tissue at N points, (N,) float32.

    `grey`, `white` and `fluid` are shares; their sum is 1 inside the brain and 0 outside. `outside`
    is the distance outwards from the brain's surface, negative inside, and `midline` that to the
    right of the midline, mm.
    """

    grey: np.ndarray
    white: np.ndarray
    fluid: np.ndarray
    outside: np.ndarray
    midline: np.ndarray

    @property
    def brain(self) -> np.ndarray:
        """(N,) share of brain, ventricles and sulci included."""
        return self.grey + self.white + self.fluid


@cache
def template() -> Template:
    """Load the MNI152 tissue maps from nilearn's wheel; nothing is downloaded."""
    image = _from_nilearn("t1")
    t1, grey, white = (_values(_from_nilearn(name)) for name in ("t1", "gm", "wm"))
    brain = t1 > 0
    dark = (SULCUS[0] - t1) / (SULCUS[0] - SULCUS[1])
    fluid = np.clip(np.maximum(1 - grey - white, dark), 0, 1) * brain
    parenchyma = np.where(brain, (1 - fluid) / np.maximum(grey + white, 1e-3), 0)
    parenchyma = np.minimum(parenchyma, 1e3).astype(np.float32)
    grey, white = grey * parenchyma, white * parenchyma
    fluid = np.where(brain, 1 - grey - white, 0).astype(np.float32)
    origin = image.affine[:3, 3].copy()
    outside, margin = _outside(brain)
    return Template(grey, white, fluid, origin, outside, origin - margin)


def _from_nilearn(name: str) -> nib.Nifti1Image:
    # Read as a file, because importing nilearn takes several times as long as making a patient.
    package = importlib.util.find_spec("nilearn")
    if package is None or package.origin is None:
        raise ModuleNotFoundError("nilearn, whose wheel carries the MNI152 template")
    folder = Path(package.origin).parent / "datasets" / "data"
    return nib.Nifti1Image.from_filename(
        folder / f"mni_icbm152_{name}_tal_nlin_sym_09a_converted.nii.gz"
    )


def _values(image: nib.Nifti1Image) -> np.ndarray:
    # Scaled to a largest value of 1, as nilearn does.
    values = np.asarray(image.dataobj, dtype=np.float32)
    return values / values.max()


def _outside(brain: np.ndarray) -> tuple[np.ndarray, float]:
    """Signed distance, mm, on coarse voxels of a box that is larger on every side; by how much."""
    step = int(SHELL_STEP)
    pad = int(np.ceil(AROUND / step))
    padded = np.pad(brain[::step, ::step, ::step], pad)
    hull = _distance(_distance(~padded) <= CLOSING) > CLOSING
    # Between voxel centres the surface lies half a voxel from the last one inside.
    signed = np.where(hull, SHELL_STEP / 2 - _distance(hull), _distance(~hull) - SHELL_STEP / 2)
    return ndimage.gaussian_filter(signed, 0.7).astype(np.float32), pad * SHELL_STEP


def _distance(inside: np.ndarray) -> np.ndarray:
    return np.asarray(ndimage.distance_transform_edt(inside, sampling=SHELL_STEP))


@dataclass(frozen=True)
class Anatomy:
    """One patient's head: the pull-back, an affine `matrix`, (3, 4), and what is added to it, mm.

    The `displacement` is (3, U, V, W) float32 on a grid of `GRID_STEP` over `BOX`; the `scale` is
    what `make_anatomy` needs to draw it again without measuring.
    """

    matrix: np.ndarray
    displacement: np.ndarray
    scale: float = 1.0

    def to_template(self, points: ArrayLike) -> np.ndarray:
        """Carry (N, 3) points from scanner space to template space: float32, mm, RAS+."""
        points = np.asarray(points, dtype=np.float32)
        matrix = self.matrix.astype(np.float32)
        result = points @ matrix[:, :3].T + matrix[:, 3]
        for axis in range(3):
            result[:, axis] += sample(self.displacement[axis], points, BOX[:, 0], GRID_STEP)
        return result

    def tissue(self, points: ArrayLike) -> Tissue:
        """Read the tissue at (N, 3) points of scanner space, linear between voxels."""
        there = self.to_template(points)
        maps = template()
        outside = sample(maps.outside, there, maps.outside_origin, SHELL_STEP)
        shares = np.zeros((3, len(there)), dtype=np.float32)
        # Half the voxels of a head's image lie outside the brain and need no reading.
        near = np.flatnonzero(outside < 4)
        for share, array in zip(shares, (maps.grey, maps.white, maps.fluid), strict=True):
            share[near] = sample(array, there[near], maps.origin, 1.0, beyond=0.0)
        return Tissue(shares[0], shares[1], shares[2], outside, there[:, 0])


def sample(
    array: np.ndarray,
    points: np.ndarray,
    origin: ArrayLike,
    step: float,
    beyond: float | None = None,
) -> np.ndarray:
    """Read an array at (N, 3) points, linear between its voxels.

    Its axes run R, A, S from the `origin` in steps of `step`, all mm. `beyond` is the value outside
    it, or None for that of the nearest voxel.
    """
    index = ((points - np.asarray(origin, dtype=np.float32)) / np.float32(step)).T
    mode: Literal["nearest", "constant"] = "nearest" if beyond is None else "constant"
    return ndimage.map_coordinates(
        array, index, output=np.float32, order=1, mode=mode, cval=beyond or 0.0, prefilter=False
    )


def smooth_noise(
    rng: np.random.Generator, shape: tuple[int, ...], width: float, step: float
) -> np.ndarray:
    """Gaussian random field of mean 0 and standard deviation 1 over the array, float32.

    `width` is the standard deviation of the Gaussian that smooths it, `step` the voxel size, mm.

    Examples
    --------
    >>> field = smooth_noise(np.random.default_rng(0), (20, 20, 20), 5.0, 2.0)
    >>> abs(float(field.mean())) < 1e-5, round(float(field.std()), 3)
    (True, 1.0)
    """
    white = rng.standard_normal(shape, dtype=np.float32)
    field = ndimage.gaussian_filter(white, width / step, mode="wrap", truncate=3.0)
    field -= field.mean()
    return field / field.std()


def make_anatomy(
    rng: np.random.Generator,
    targets: ArrayLike = (),
    parenchyma: float | None = None,
    scale: float | None = None,
) -> Anatomy:
    """Draw one head: size, pose and bend.

    Parameters
    ----------
    rng
        Source of all three.
    targets : (N, 3) array_like
        Points that the map leaves where they are, mm, RAS+, scanner space.
    parenchyma
        Volume of grey and white matter, ml; about that of the template if None.
    scale
        That of the same head if it was drawn before; found by measuring if None.

    Examples
    --------
    >>> head = make_anatomy(np.random.default_rng(1))
    >>> bool(head.tissue([[25.0, -20, 30]]).brain[0] > 0.9)
    True
    >>> round(parenchyma_volume(make_anatomy(np.random.default_rng(1), parenchyma=1100.0)), -1)
    1100.0
    """
    targets = np.asarray(targets, dtype=float).reshape(-1, 3)
    size, turn, shift = rng.standard_normal((3, 3)).clip(-2, 2)
    linear = rotation(turn * ROTATION_SD) @ np.diag(np.exp(size * SIZE_SD))
    shape = tuple(np.ceil((BOX[:, 1] - BOX[:, 0]) / GRID_STEP).astype(int) + 1)
    field = np.stack([BEND * smooth_noise(rng, shape, BEND_WIDTH, GRID_STEP) for _ in range(3)])

    def scaled(scale: float) -> Anatomy:
        own = scale * linear
        matrix = np.column_stack([own, CENTRE - own @ CENTRE + shift * SHIFT_SD])
        free = Anatomy(matrix, field.astype(np.float32), scale)
        return _pinned(free, targets) if len(targets) else free

    head = scaled(scale or 1.0)
    if scale is None and parenchyma is not None:
        for _ in range(SIZE_ROUNDS):
            head = scaled(head.scale * float(np.cbrt(parenchyma_volume(head) / parenchyma)))
    return head


def parenchyma_volume(head: Anatomy) -> float:
    """Measure the grey and white matter of a head, ml, by points `SIZE_STEP` apart."""
    axes = [np.arange(low, high, SIZE_STEP, dtype=np.float32) for low, high in BOX]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    tissue = head.tissue(points)
    return float((tissue.grey + tissue.white).sum(dtype=float)) * SIZE_STEP**3 / 1000


def rotation(degrees: ArrayLike) -> np.ndarray:
    """Give the matrix, (3, 3), that turns about x, then y, then z."""
    x, y, z = np.radians(np.asarray(degrees, dtype=float))
    about_x = np.array([[1, 0, 0], [0, np.cos(x), -np.sin(x)], [0, np.sin(x), np.cos(x)]])
    about_y = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    about_z = np.array([[np.cos(z), -np.sin(z), 0], [np.sin(z), np.cos(z), 0], [0, 0, 1]])
    return about_z @ about_y @ about_x


def _pinned(free: Anatomy, targets: np.ndarray) -> Anatomy:
    """Add Gaussians about the targets that undo the displacement there."""
    missing = targets - free.to_template(targets)
    # The small diagonal keeps close targets, which move almost alike, from opposing one another.
    squared = ((targets[:, None] - targets) ** 2).sum(-1)
    kernel = np.exp(-0.5 * squared / PIN_WIDTH**2) + 1e-3 * np.eye(len(targets))
    weight = np.linalg.solve(kernel, missing)
    shape = free.displacement.shape[1:]
    axes = [BOX[k, 0] + GRID_STEP * np.arange(shape[k]) for k in range(3)]
    correction = np.zeros_like(free.displacement)
    for target, w in zip(targets, weight, strict=True):
        along = [np.exp(-0.5 * ((axes[k] - target[k]) / PIN_WIDTH) ** 2) for k in range(3)]
        bump = np.einsum("i,j,k->ijk", *along).astype(np.float32)
        correction += w[:, None, None, None].astype(np.float32) * bump
    return Anatomy(free.matrix, free.displacement + correction, free.scale)
