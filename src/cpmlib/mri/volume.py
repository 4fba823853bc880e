"""A 3-D image with its place in scanner space, checked once, and the grid where contrasts meet.

Vocabulary
----------
- *world*, scanner space: coordinates in mm, RAS+ (x to the patient's right, y to anterior, z to
  superior).
- *affine*: 4 x 4 matrix from voxel indices (centres at whole numbers) to world.
- *field of view*: the box of all voxels of a grid, to the outer edges of the outermost voxels.
- *reference grid*: that of T1 after gadolinium, its axes ordered and flipped to run as nearly as
  they can to right, anterior, superior; it stays oblique if it was.
- *padding*: voxels that hold exactly 0 and are joined through such voxels, or through some without
  a value, to the border of the array. A 0 that tissue encloses is a measurement.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import nibabel as nib
import numpy as np
from nibabel.affines import apply_affine, voxel_sizes
from scipy import ndimage

from cpmlib.mri.resampling import Interpolation, resample
from cpmlib.study.errors import fault

SAME_VOXEL_SIZE = 0.01
"""Voxel sizes that differ by no more than this share are taken as equal."""

WORKING_VOXEL = 2.0
"""Masks of tissue are found at this voxel size, mm: fine enough for their edge, and quick."""


class Grid(NamedTuple):
    """Where voxels lie: affine (4, 4), voxel to world, and shape."""

    affine: np.ndarray
    shape: tuple[int, int, int]

    @property
    def voxel_sizes(self) -> np.ndarray:
        """Edges of a voxel (3,), mm, by axis of the array."""
        return voxel_sizes(self.affine)

    @property
    def extent(self) -> np.ndarray:
        """Edges of the field of view (3,), mm, in the order of the array's axes."""
        return self.voxel_sizes * np.array(self.shape)

    @property
    def bounds(self) -> np.ndarray:
        """Lowest and highest world coordinates of the field of view (2, 3), mm."""
        corners = np.array(np.meshgrid(*[(-0.5, n - 0.5) for n in self.shape])).reshape(3, -1).T
        world = apply_affine(self.affine, corners)
        return np.array([world.min(axis=0), world.max(axis=0)])


@dataclass(frozen=True, eq=False)
class Volume:
    """A 3-D image with three dimensions, an invertible affine and no infinite value.

    The data are kept as float32; NaN means that a voxel has no value. Messages call it `name`.

    Examples
    --------
    >>> volume = Volume(np.ones((2, 3, 4)), np.diag([2.0, 2, 2, 1]))
    >>> volume.grid.bounds
    array([[-1., -1., -1.],
           [ 3.,  5.,  7.]])
    >>> volume.resampled(Grid(np.eye(4), (3, 3, 3))).shape
    (3, 3, 3)
    """

    data: np.ndarray
    affine: np.ndarray
    name: str = "the image"

    def __post_init__(self) -> None:
        check_geometry(np.shape(self.data), self.affine, self.name)
        data = np.asarray(self.data, dtype=np.float32)
        if np.isinf(data).any():
            voxel = tuple(int(i) for i in np.argwhere(np.isinf(data))[0])
            found = f"an infinite value at voxel {voxel}"
            raise fault(self.name, found, "finite values", "export it again")
        object.__setattr__(self, "data", data)
        object.__setattr__(self, "affine", np.asarray(self.affine, dtype=float))

    @property
    def shape(self) -> tuple[int, int, int]:
        """Numbers of voxels along the array's axes."""
        x, y, z = self.data.shape
        return x, y, z

    @property
    def grid(self) -> Grid:
        """Where the voxels lie."""
        return Grid(self.affine, self.shape)

    @property
    def voxel_ml(self) -> float:
        """Volume of a voxel, ml."""
        return float(abs(np.linalg.det(self.affine[:3, :3]))) / 1000

    @property
    def inside(self) -> np.ndarray:
        """Where a mask, or a probability, is above one half; (X, Y, Z) bool."""
        return self.data > 0.5

    @property
    def ml(self) -> float:
        """Volume of what is inside, ml."""
        return float(self.inside.sum() * self.voxel_ml)

    def resampled(self, grid: Grid, interpolation: Interpolation = "linear") -> Volume:
        """Read the volume at the voxels of another grid (`cpmlib.mri.resampling.resample`)."""
        to_source = np.linalg.inv(self.affine) @ grid.affine
        values = resample(self.data, to_source, grid.shape, interpolation)
        return replace(self, data=values, affine=_stored(grid.affine))

    def moved(self, matrix: np.ndarray) -> Volume:
        """Move it in the world by a matrix (4, 4), without a change of values."""
        return replace(self, affine=_stored(matrix @ self.affine))

    def to_image(self) -> nib.Nifti1Image:
        """Return it as an image."""
        return make_image(self.data, self.affine)


Image = nib.Nifti1Image | Volume


def as_volume(image: Image, name: str = "the image") -> Volume:
    """Return an image as a `Volume`, called `name` in messages; a volume passes unchanged."""
    if isinstance(image, Volume):
        return image
    check_geometry(image.shape, image.affine, name)  # before the values are read
    return Volume(np.asarray(image.dataobj, dtype=np.float32), image.affine, name)


def check_geometry(shape: tuple[int, ...], affine: np.ndarray, name: str) -> None:
    """Raise a DatasetError unless there are three dimensions and an affine with an inverse."""
    if len(shape) != 3 or 0 in shape:
        found, expected = f"an image of shape {shape}", "one volume, with three dimensions"
        raise fault(name, found, expected, "extract the volume that is meant")
    if not invertible(affine):
        expected = "an affine that gives each voxel its own place in scanner space"
        remedy = "write the orientation into the header again, from the scanner's DICOM files"
        raise fault(name, "an affine that cannot be inverted", expected, remedy)


def invertible(affine: np.ndarray) -> bool:
    """Say whether an affine (4, 4) is finite and gives each voxel its own place.

    Examples
    --------
    >>> invertible(np.diag([2.0, 2, 0, 1]))
    False
    """
    linear = np.asarray(affine, dtype=float)[:3, :3]
    if not np.isfinite(affine).all():
        return False
    size = np.linalg.norm(linear, axis=0)
    # The volume of a voxel against that of a box with the same edges: 1 for right angles.
    return bool((size > 0).all() and abs(np.linalg.det(linear / size)) > 1e-3)


def make_image(data: np.ndarray, affine: np.ndarray) -> nib.Nifti1Image:
    """Return an image in scanner space, in mm: float32, or uint8 for a mask; affine (4, 4)."""
    image = nib.Nifti1Image(data, affine)
    image.header.set_xyzt_units("mm")
    image.set_sform(affine, code="scanner")
    image.set_qform(affine, code="scanner", strip_shears=True)
    return image


def _stored(affine: np.ndarray) -> np.ndarray:
    """Round an affine as a NIfTI header does, so that volume and file agree."""
    return np.asarray(affine, dtype=np.float32).astype(float)


def reference_grid(t1gd: Image, voxel_size: float | None = None) -> Grid:
    """Return the grid on which a patient's contrasts are compared.

    That is T1wGd's own with the axes ordered and flipped, if all voxel edges are within 1 % of
    `voxel_size` (mm; that of the model's training) or it is None: it needs no interpolation. Else
    one of isotropic voxels of that size with the same centre and directions, which covers the
    image's field of view.

    Examples
    --------
    >>> image = Volume(np.zeros((30, 40, 10)), np.diag([-1.0, 1, 3, 1]))
    >>> affine, shape = reference_grid(image, 2.0)
    >>> shape
    (15, 20, 15)
    >>> affine[:3, 3]
    array([-28.5,   0.5,  -0.5])
    """
    if voxel_size is not None and not 0 < voxel_size < np.inf:
        raise ValueError(f"voxel_size is {voxel_size}; expected a size above 0 mm, or None")
    check_geometry(t1gd.shape, t1gd.affine, "T1wGd")
    # An array that takes no memory: only the geometry counts.
    empty = np.broadcast_to(np.float32(0), t1gd.shape)
    canonical = nib.as_closest_canonical(nib.Nifti1Image(empty, t1gd.affine))
    own = Grid(canonical.affine, canonical.shape)
    size = own.voxel_sizes
    if voxel_size is None or (np.abs(size / voxel_size - 1) <= SAME_VOXEL_SIZE).all():
        return own
    affine, shape = own.affine, np.array(own.shape)
    # The small allowance keeps 10 voxels of 3.0000001 mm from becoming 16 of 2 mm.
    x, y, z = np.maximum(np.ceil(shape * size / voxel_size - 0.05), 1).astype(int)
    new_affine = np.eye(4)
    new_affine[:3, :3] = affine[:3, :3] / size * voxel_size
    centre = affine[:3, :3] @ ((shape - 1) / 2) + affine[:3, 3]
    new_affine[:3, 3] = centre - new_affine[:3, :3] @ ((np.array([x, y, z]) - 1) / 2)
    return Grid(new_affine, (int(x), int(y), int(z)))


def resample_to(
    image: Image,
    affine: np.ndarray,
    shape: tuple[int, ...],
    interpolation: Interpolation = "linear",
    name: str = "the image",
) -> nib.Nifti1Image:
    """Read an image at the voxels of another grid; see `cpmlib.mri.resampling.resample`.

    Examples
    --------
    >>> ramp = np.arange(4)[:, None, None] * np.ones((1, 2, 2))
    >>> half = np.diag([0.5, 1, 1, 1])
    >>> resample_to(Volume(ramp, np.eye(4)), half, (9, 2, 2)).get_fdata()[:, 0, 0]
    array([0. , 0.5, 1. , 1.5, 2. , 2.5, 3. , 3. , nan])
    """
    if interpolation not in ("linear", "nearest"):
        raise ValueError(f"interpolation is {interpolation!r}; expected 'linear' or 'nearest'")
    if len(shape) != 3 or min(shape) < 1 or not invertible(affine):
        raise ValueError("the target grid needs three axes and an affine that can be inverted")
    target = Grid(np.asarray(affine, dtype=float), (shape[0], shape[1], shape[2]))
    return as_volume(image, name).resampled(target, interpolation).to_image()


def padding(values: np.ndarray) -> np.ndarray:
    """Say which voxels (X, Y, Z) are padding, or have no value and lie outside the content.

    Examples
    --------
    >>> ball = np.zeros((5, 5, 5))
    >>> ball[1:4, 1:4, 1:4] = 7
    >>> ball[2, 2, 2] = 0
    >>> int((~padding(ball)).sum())
    27
    """
    empty = np.isnan(values) | (values == 0)
    labels, _ = ndimage.label(np.pad(empty, 1, constant_values=True))
    outer: np.ndarray = labels[1:-1, 1:-1, 1:-1] == labels[0, 0, 0]
    return outer


def without_padding(volume: Volume) -> Volume:
    """Return a volume with no value where it is padding."""
    return replace(volume, data=np.where(padding(volume.data), np.float32(np.nan), volume.data))


def without_background(volume: Volume) -> Volume:
    """Return a map of a quantity that is above 0 in all tissue, with no value where it is not.

    Scanners and fits write 0 in air and where they failed. To be done before a map is resampled:
    interpolation would mix the 0 into the brain's edge, where it looks like a low value.
    """
    return replace(volume, data=np.where(volume.data > 0, volume.data, np.float32(np.nan)))
