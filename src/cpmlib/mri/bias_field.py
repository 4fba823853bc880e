"""The receive coil's smooth shading, estimated and divided out (N4; optional, off by default).

A scanner's own prescan normalisation makes it needless, and it may take a large bright lesion for
shading.

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
from cpmlib.mri.volume import Image, as_volume, make_image
from cpmlib.study.errors import fault

FIELD_VOXEL = 6.0
"""Voxel size at which the field is estimated, mm; it varies over centimetres."""

ITERATIONS = (50, 50, 30)
"""Largest number of iterations at each level of the spline grid."""


def correct_bias_field(image: Image, mask: Image, name: str = "the image") -> nib.Nifti1Image:
    """Divide an image, called `name`, by its bias field, estimated by N4 on about 6-mm voxels.

    The image is of a unit in which 0 means no signal, never a map with units; the mask, on any
    grid, is best the brain. The median over the mask stays as it was.

    Examples
    --------
    >>> from cpmlib.mri.volume import Volume
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
        raise fault(volume.name, found, "positive values", remedy)
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

    N4's own filters obey nothing but the default of the process.
    """
    import SimpleITK as sitk  # noqa: N813 (its usual name)

    usual = sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(usual)
