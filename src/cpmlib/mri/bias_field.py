"""The receive coil's smooth shading, estimated and divided out (N4; optional, off by default).

The maps of a study that was acquired on one scanner with its own prescan normalisation need no
correction, and a correction may mistake a large bright lesion for shading.

References
----------
Tustison NJ et al. (2010) IEEE Trans Med Imaging 29:1310.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import nibabel as nib
import numpy as np

from cpmlib.mri.multiresolution import itk_image
from cpmlib.mri.volume import Volume, as_volume, make_image
from cpmlib.study.errors import DatasetError, Problem

FIELD_VOXEL = 6.0
"""Voxel size at which the field is estimated, mm; it varies over centimetres."""

ITERATIONS = (50, 50, 30)
"""Largest number of iterations at each level of the spline grid."""


def correct_bias_field(
    image: nib.Nifti1Image | Volume, mask: nib.Nifti1Image | Volume, name: str = "the image"
) -> nib.Nifti1Image:
    """Divide an image by its bias field, estimated by N4 on about 6-mm voxels.

    Parameters
    ----------
    image
        3-D, of any unit in which 0 means no signal (T1w, T1wGd, FLAIR; never a map with units);
        called `name` in messages.
    mask
        Where the field is estimated, best the brain; brought to the image's grid if needed.

    Returns
    -------
    nibabel.Nifti1Image
        float32, with the median over the mask as it was; NaN where the image has NaN.

    Raises
    ------
    DatasetError
        If the image is not 3-D, or has no positive value in the mask.

    Examples
    --------
    >>> i, j, k = np.indices((24, 24, 24))
    >>> tissue = np.where((i // 4 + j // 4 + k // 4) % 2, 600, 400)
    >>> shaded = Volume(tissue * np.exp(0.02 * i), np.diag([6.0, 6, 6, 1]))
    >>> everywhere = Volume(np.ones((24, 24, 24)), shaded.affine)
    >>> bright = correct_bias_field(shaded, everywhere).get_fdata()[tissue == 600]
    >>> bool(bright.std() / bright.mean() < 0.03)
    True
    """
    volume = as_volume(image, name)
    data = volume.data
    inside = as_volume(mask, "the mask").resampled(volume.grid, "nearest").inside & (data > 0)
    if inside.sum() < 2:
        found, remedy = "no signal in the brain", "check image and mask"
        raise DatasetError(Problem(volume.name, found, "positive values", remedy))
    corrected = (data / _field(data, inside, volume.grid.voxel_sizes)).astype(np.float32)
    corrected *= np.median(data[inside]) / np.median(corrected[inside])
    return make_image(corrected, volume.affine)


def _field(data: np.ndarray, inside: np.ndarray, size: np.ndarray) -> np.ndarray:
    import SimpleITK as sitk  # noqa: N813 (its usual name)

    # N4 knows only voxels and their spacing; orientation plays no part in it.
    whole = itk_image(np.where(np.isnan(data), 0, data).astype(np.float32), size)
    shrink = [int(n) for n in np.maximum(np.rint(FIELD_VOXEL / size), 1)]
    with _one_thread():
        corrector = sitk.N4BiasFieldCorrectionImageFilter()
        corrector.SetMaximumNumberOfIterations(list(ITERATIONS))
        where = itk_image(inside.astype(np.uint8), size)
        corrector.Execute(sitk.Shrink(whole, shrink), sitk.Shrink(where, shrink))
        logarithm = sitk.GetArrayFromImage(corrector.GetLogBiasFieldAsImage(whole))
    return np.exp(logarithm.transpose(2, 1, 0))


@contextmanager
def _one_thread() -> Iterator[None]:
    """Let ITK use one thread: sums over several depend on their number and order.

    N4 holds filters of its own, which obey nothing but the default of the process.
    """
    import SimpleITK as sitk  # noqa: N813 (its usual name)

    usual = sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(usual)
