"""The grid on which all contrasts of a patient meet, and how an image gets there.

Vocabulary
----------
- *world*: scanner space, mm, RAS+ (x to the patient's right, y to anterior, z to superior).
- *affine*: 4 x 4 matrix from voxel indices (centres at whole numbers) to world.
- *grid*: an affine and a shape.
- *reference grid*: that of T1 after gadolinium, its axes ordered and flipped to run as nearly as
  they can to right, anterior, superior; it stays oblique if it was.
- *field of view*: the box of all voxels of an image, to the outer edges of the outermost voxels.
- *step*: distance of neighbouring target voxels along one axis of the source, in source voxels.
"""

from __future__ import annotations

from typing import Literal

import nibabel as nib
import numpy as np
from nibabel.orientations import apply_orientation, inv_ornt_aff, io_orientation
from scipy import ndimage

from cpmlib.study.errors import DatasetError, Problem

Interpolation = Literal["linear", "nearest"]

SAME_VOXEL_SIZE = 0.01
"""Voxel sizes that differ by no more than this share are taken as equal."""

SAME_PLACE = 1e-3
"""Grids whose voxels fall together to within this many voxels need no interpolation."""

COARSE = 1.5
"""From this step on, an image is smoothed before it is read at the target voxels."""

FWHM = 2 * np.sqrt(2 * np.log(2))
"""Full width at half maximum of a Gaussian with a standard deviation of 1."""

SMALLEST_WEIGHT = 0.5
"""A voxel interpolated from a smaller share of voxels with a value has no value."""


def make_image(data: np.ndarray, affine: np.ndarray) -> nib.Nifti1Image:
    """Return an image in scanner space, in mm, with the array's own type.

    Parameters
    ----------
    data : array
        float32 values, or uint8 for a mask.
    affine : (4, 4)
        Voxel to world.

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


def volume(image: nib.Nifti1Image, name: str = "the image") -> np.ndarray:
    """Return an image's values, after checking that they fill a volume with a place in the world.

    Parameters
    ----------
    image
        3-D image.
    name
        What to call it in a message.

    Returns
    -------
    (X, Y, Z) float32

    Raises
    ------
    DatasetError
        If the image has not three dimensions or its affine cannot be inverted.

    Examples
    --------
    >>> volume(make_image(np.ones((2, 2, 2), np.uint8), np.eye(4))).dtype
    dtype('float32')
    """
    if len(image.shape) != 3 or 0 in image.shape:
        raise DatasetError(
            Problem(
                name,
                f"an image of shape {image.shape}",
                "one volume, with three dimensions",
                "extract the volume that is meant",
            )
        )
    if not invertible(image.affine):
        raise DatasetError(
            Problem(
                name,
                "an affine that cannot be inverted",
                "an affine that gives each voxel its own place in scanner space",
                "write the orientation into the header again, from the scanner's DICOM files",
            )
        )
    return np.asarray(image.dataobj, dtype=np.float32)


def invertible(affine: np.ndarray) -> bool:
    """Say whether an affine is finite and gives each voxel its own place.

    Parameters
    ----------
    affine : (4, 4)
        Voxel to world.

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


def voxel_sizes(affine: np.ndarray) -> np.ndarray:
    """Return the edges of a voxel.

    Parameters
    ----------
    affine : (4, 4)
        Voxel to world.

    Returns
    -------
    (3,)
        mm, in the order of the array's axes.

    Examples
    --------
    >>> voxel_sizes(np.diag([-1.0, 2, 3, 1]))
    array([1., 2., 3.])
    """
    return np.linalg.norm(np.asarray(affine, dtype=float)[:3, :3], axis=0)


def canonical(image: nib.Nifti1Image) -> nib.Nifti1Image:
    """Order and flip the axes so that they run as nearly as they can to R, A, S.

    Parameters
    ----------
    image
        3-D image.

    Returns
    -------
    nibabel.Nifti1Image
        The same values at the same places in the world; nothing is interpolated.

    Raises
    ------
    DatasetError
        As `volume` does.

    Examples
    --------
    >>> image = make_image(np.zeros((2, 3, 4), np.float32), np.diag([-1.0, 1, 1, 1]))
    >>> nib.aff2axcodes(canonical(image).affine)
    ('R', 'A', 'S')
    """
    data = volume(image)
    orientation = io_orientation(image.affine)
    affine = image.affine @ inv_ornt_aff(orientation, image.shape)
    return make_image(np.ascontiguousarray(apply_orientation(data, orientation)), affine)


def reference_grid(
    t1gd: nib.Nifti1Image, voxel_size: float | None = None
) -> tuple[np.ndarray, tuple[int, int, int]]:
    """Return the grid on which a patient's contrasts are compared.

    Parameters
    ----------
    t1gd
        T1 after gadolinium, 3-D.
    voxel_size
        Edge of the isotropic voxels that the model was trained with, mm; None keeps the image's.

    Returns
    -------
    affine : (4, 4)
        Voxel to world, mm, RAS+.
    shape : (int, int, int)
        If all voxel edges of the image are within 1 % of `voxel_size`, its own grid with the axes
        ordered and flipped, on which the image needs no interpolation. Else a grid of that size
        with the same centre and directions, which covers the image's field of view.

    Raises
    ------
    DatasetError
        If the image is not 3-D or its affine cannot be inverted.
    ValueError
        If `voxel_size` is not above 0.

    Examples
    --------
    >>> image = make_image(np.zeros((30, 40, 10), np.float32), np.diag([-1.0, 1, 3, 1]))
    >>> affine, shape = reference_grid(image, 2.0)
    >>> shape
    (15, 20, 15)
    >>> affine[:3, 3]
    array([-28.5,   0.5,  -0.5])
    """
    if voxel_size is not None and not 0 < voxel_size < np.inf:
        raise ValueError(f"voxel_size is {voxel_size}; expected a size above 0 mm, or None")
    if len(t1gd.shape) != 3 or not invertible(t1gd.affine):
        volume(t1gd, "T1wGd")  # says what is wrong
    orientation = io_orientation(t1gd.affine)
    affine = t1gd.affine @ inv_ornt_aff(orientation, t1gd.shape)
    shape = np.array(t1gd.shape)[np.argsort(orientation[:, 0])]
    size = voxel_sizes(affine)
    if voxel_size is None or (np.abs(size / voxel_size - 1) <= SAME_VOXEL_SIZE).all():
        return affine, _three(shape)
    # The small allowance keeps 10 voxels of 3.0000001 mm from becoming 16 of 2 mm.
    new_shape = np.maximum(np.ceil(shape * size / voxel_size - 0.05), 1).astype(int)
    new_affine = np.eye(4)
    new_affine[:3, :3] = affine[:3, :3] / size * voxel_size
    centre = affine[:3, :3] @ ((shape - 1) / 2) + affine[:3, 3]
    new_affine[:3, 3] = centre - new_affine[:3, :3] @ ((new_shape - 1) / 2)
    return new_affine, _three(new_shape)


def resample_to(
    image: nib.Nifti1Image,
    affine: np.ndarray,
    shape: tuple[int, ...],
    interpolation: Interpolation = "linear",
    name: str = "the image",
) -> nib.Nifti1Image:
    """Read an image at the voxels of another grid.

    Where both grids fall together the values are copied, so that turning, flipping, cropping and
    padding lose nothing. Otherwise each target voxel takes the trilinear interpolation of its
    eight neighbours, or the nearest voxel. With a step of 1.5 or more, linear interpolation would
    skip voxels and fold fine detail and noise into the result; the image is then first smoothed
    along that axis with the Gaussian that turns a resolution of one source voxel into one step
    (full width at half maximum ``sqrt(step ** 2 - 1)`` source voxels), which is nearly what a
    scanner would have measured in voxels of that size. Nearest never smooths: labels do not mix.

    Parameters
    ----------
    image
        3-D image; NaN means that a voxel has no value.
    affine : (4, 4)
        Target voxel to world, mm, RAS+.
    shape
        Number of target voxels.
    interpolation
        ``"linear"`` or ``"nearest"`` (for masks and labels).
    name
        What to call the image in a message.

    Returns
    -------
    nibabel.Nifti1Image
        float32. NaN outside the source's field of view, and where voxels without a value carry
        more than half of the weight; where they carry less, the others are re-weighted.

    Raises
    ------
    DatasetError
        If the image is not 3-D, its affine cannot be inverted, or it has infinite values.
    ValueError
        If the interpolation is unknown or the target is no grid.

    Examples
    --------
    >>> ramp = np.arange(4, dtype=np.float32)[:, None, None] * np.ones((1, 2, 2), np.float32)
    >>> half = np.diag([0.5, 1, 1, 1])
    >>> resample_to(make_image(ramp, np.eye(4)), half, (9, 2, 2)).get_fdata()[:, 0, 0]
    array([0. , 0.5, 1. , 1.5, 2. , 2.5, 3. , 3. , nan])
    """
    if interpolation not in ("linear", "nearest"):
        raise ValueError(f"interpolation is {interpolation!r}; expected 'linear' or 'nearest'")
    if len(shape) != 3 or min(shape) < 1 or not invertible(affine):
        raise ValueError("the target grid needs three axes and an affine that can be inverted")
    data = volume(image, name)
    if np.isinf(data).any():
        found = tuple(int(i) for i in np.argwhere(np.isinf(data))[0])
        raise DatasetError(
            Problem(name, f"an infinite value at voxel {found}", "finite values", "export it again")
        )
    affine = np.asarray(affine, dtype=float)
    to_source = np.linalg.inv(image.affine) @ affine
    whole = _whole_voxels(to_source, shape)
    if whole is not None:
        return make_image(_copy(data, whole, shape), affine)
    if interpolation == "nearest":
        result = _read(data, to_source, shape, order=0)
    else:
        result = _read_linear(data, to_source, shape)
    result[~inside(to_source, shape, data.shape)] = np.nan
    return make_image(result, affine)


def inside(
    to_source: np.ndarray, shape: tuple[int, ...], source_shape: tuple[int, ...]
) -> np.ndarray:
    """Say which voxels of a grid have their centre in another grid's field of view.

    Parameters
    ----------
    to_source : (4, 4)
        From the voxels of the grid to those of the other.
    shape, source_shape
        Numbers of voxels of the grid and of the other.

    Returns
    -------
    bool array of `shape`

    Examples
    --------
    >>> inside(np.diag([2.0, 1, 1, 1]), (3, 1, 1), (3, 1, 1)).ravel()
    array([ True,  True, False])
    """
    result = np.ones(shape, dtype=bool)
    i, j, k = np.ogrid[: shape[0], : shape[1], : shape[2]]
    for row, n in zip(to_source[:3], source_shape, strict=True):
        # Summed over the small axes first, so that only one full array is made.
        place = (row[1] * j + row[2] * k + row[3]) + row[0] * i
        result &= (place > -0.5 - SAME_PLACE) & (place < n - 0.5 + SAME_PLACE)
    return result


def _three(shape: np.ndarray) -> tuple[int, int, int]:
    return int(shape[0]), int(shape[1]), int(shape[2])


def _read(
    data: np.ndarray, to_source: np.ndarray, shape: tuple[int, ...], order: Literal[0, 1]
) -> np.ndarray:
    # "nearest" holds the outermost value to the edge of the outermost voxel; `inside` cuts there.
    return ndimage.affine_transform(
        data,
        to_source[:3, :3],
        to_source[:3, 3],
        output_shape=shape,
        output=np.float32,
        order=order,
        mode="nearest",
        prefilter=False,
    )


def _read_linear(data: np.ndarray, to_source: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    step = np.linalg.norm(to_source[:3, :3], axis=1)
    sigma = np.where(step >= COARSE, np.sqrt(np.maximum(step**2 - 1, 0)) / FWHM, 0)
    missing = np.isnan(data)
    if not missing.any():
        return _read(_smooth(data, sigma), to_source, shape, order=1)
    weight = _read(_smooth((~missing).astype(np.float32), sigma), to_source, shape, order=1)
    result = _read(_smooth(np.where(missing, 0, data), sigma), to_source, shape, order=1)
    # A small allowance: exactly one half must not depend on rounding.
    enough = weight >= SMALLEST_WEIGHT - 1e-4
    np.divide(result, weight, out=result, where=enough & (weight < 1 - 1e-6))
    result[~enough] = np.nan
    return result


def _smooth(data: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    if not sigma.any():
        return data
    return ndimage.gaussian_filter(data, sigma, mode="nearest", output=np.float32, truncate=3.0)


def _whole_voxels(to_source: np.ndarray, shape: tuple[int, ...]) -> np.ndarray | None:
    """Return the map in whole voxels if each target voxel falls on a source voxel."""
    rounded = np.rint(to_source)
    if (np.abs(rounded[:3, :3]).sum(axis=0) != 1).any():
        return None
    if (np.abs(rounded[:3, :3]).sum(axis=1) != 1).any():
        return None
    # The difference is linear in the index: its largest values are bounded by the far corner.
    error = np.abs(to_source - rounded)[:3]
    worst = error[:, :3] @ (np.array(shape) - 1) + error[:, 3]
    return rounded if worst.max() <= SAME_PLACE else None


def _copy(data: np.ndarray, whole: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Copy values along a map that only turns, flips and shifts whole voxels."""
    result = np.full(shape, np.nan, dtype=np.float32)
    axes = np.abs(whole[:3, :3]).argmax(axis=0)
    take, put = [], []
    for target_axis, source_axis in enumerate(axes):
        sign = whole[source_axis, target_axis]
        index = np.arange(shape[target_axis])
        source = (sign * index + whole[source_axis, 3]).astype(int)
        there = (source >= 0) & (source < data.shape[source_axis])
        take.append(source[there])
        put.append(index[there])
    result[np.ix_(*put)] = np.transpose(data, axes)[np.ix_(*take)]
    return result
