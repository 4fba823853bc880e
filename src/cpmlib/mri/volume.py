"""One 3-D image with its place in scanner space, checked once, when it is made.

Vocabulary
----------
- *world*: scanner space, mm, RAS+ (x to the patient's right, y to anterior, z to superior).
- *affine*: 4 x 4 matrix from voxel indices (centres at whole numbers) to world.
- *grid*: an affine and a shape.
- *field of view*: the box of all voxels of a grid, to the outer edges of the outermost voxels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import nibabel as nib
import numpy as np
from nibabel.affines import apply_affine, voxel_sizes

from cpmlib.mri.resampling import Interpolation, resample
from cpmlib.study.errors import DatasetError, Problem


class Grid(NamedTuple):
    """Where voxels lie: affine (4, 4), voxel to world, and shape."""

    affine: np.ndarray
    shape: tuple[int, int, int]

    @property
    def voxel_sizes(self) -> np.ndarray:
        """Edges of a voxel (3,), mm, in the order of the array's axes."""
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
    """A 3-D image whose shape, affine and values were checked; what takes one trusts it.

    Parameters
    ----------
    data : (X, Y, Z)
        Kept as float32; NaN means that a voxel has no value.
    affine : (4, 4)
        Voxel to world, mm, RAS+.
    name
        What to call it in a message.

    Raises
    ------
    DatasetError
        If there are not three dimensions, the affine cannot be inverted, or a value is infinite.

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
        """Check the parts."""
        check_geometry(np.shape(self.data), self.affine, self.name)
        data = np.asarray(self.data, dtype=np.float32)
        if np.isinf(data).any():
            voxel = tuple(int(i) for i in np.argwhere(np.isinf(data))[0])
            found = f"an infinite value at voxel {voxel}"
            raise DatasetError(Problem(self.name, found, "finite values", "export it again"))
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


def as_volume(image: nib.Nifti1Image | Volume, name: str = "the image") -> Volume:
    """Return an image as a `Volume`, called `name` in messages; a volume passes unchanged.

    Raises
    ------
    DatasetError
        As `Volume` does.

    Examples
    --------
    >>> volume = as_volume(make_image(np.ones((2, 2, 2), np.uint8), np.eye(4)), "mask")
    >>> volume.data.dtype, as_volume(volume) is volume
    (dtype('float32'), True)
    """
    if isinstance(image, Volume):
        return image
    check_geometry(image.shape, image.affine, name)  # before the values are read
    return Volume(np.asarray(image.dataobj, dtype=np.float32), image.affine, name)


def check_geometry(shape: tuple[int, ...], affine: np.ndarray, name: str) -> None:
    """Raise a DatasetError unless there are three dimensions and an affine with an inverse."""
    if len(shape) != 3 or 0 in shape:
        found, expected = f"an image of shape {shape}", "one volume, with three dimensions"
        raise DatasetError(Problem(name, found, expected, "extract the volume that is meant"))
    if not invertible(affine):
        found = "an affine that cannot be inverted"
        expected = "an affine that gives each voxel its own place in scanner space"
        remedy = "write the orientation into the header again, from the scanner's DICOM files"
        raise DatasetError(Problem(name, found, expected, remedy))


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
    """Return an image in scanner space, in mm: float32, or uint8 for a mask; affine (4, 4).

    Examples
    --------
    >>> make_image(np.zeros((2, 3, 4), np.float32), np.eye(4)).header.get_xyzt_units()[0]
    'mm'
    """
    image = nib.Nifti1Image(data, affine)
    image.header.set_xyzt_units("mm")
    image.set_sform(affine, code="scanner")
    image.set_qform(affine, code="scanner", strip_shears=True)
    return image


def _stored(affine: np.ndarray) -> np.ndarray:
    """Return an affine with the precision of a NIfTI header, so that volume and file agree."""
    return np.asarray(affine, dtype=np.float32).astype(float)
