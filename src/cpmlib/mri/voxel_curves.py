"""The curves behind one voxel of a perfusion fit, to be looked at.

Vocabulary
----------
- *K1, K2, k*: parameters of the leakage correction (`cpmlib.mri.leakage`).
"""

from __future__ import annotations

from dataclasses import dataclass

import nibabel as nib
import numpy as np

from cpmlib.mri.leakage import convolve_exponential
from cpmlib.mri.perfusion import PerfusionFit


@dataclass(frozen=True)
class VoxelCurves:
    """The curves of one voxel from the last baseline volume on, (T,), 1/s, and its parameters.

    ``times`` in seconds; the others are NaN where the voxel has no value, save the reference;
    ``k1``, ``k2``, ``k`` as in `PerfusionFit`.
    """

    times: np.ndarray
    measured: np.ndarray
    model: np.ndarray
    corrected: np.ndarray
    reference: np.ndarray
    k1: float
    k2: float
    k: float


def voxel_curves(
    series: nib.Nifti1Image, fit: PerfusionFit, echo_time: float, voxel: tuple[int, int, int]
) -> VoxelCurves:
    """Return the curves behind one voxel of a fit; fitted and corrected follow from its maps.

    ``series`` (X, Y, Z, T) and ``echo_time`` (s) as given to `cpmlib.mri.perfusion.relative_cbv`,
    ``fit`` as it returned it, ``voxel`` on the grid of the series.
    """
    start, end = fit.baseline
    k1, k2, k = (float(image.dataobj[voxel]) for image in (fit.k1, fit.k2, fit.k))
    times, reference = fit.times[end - 1 :], fit.reference[end - 1 :]
    signal = np.asarray(series.dataobj[voxel], dtype=float)
    if np.isfinite(k1):
        measured = -np.log(signal[end - 1 :] / signal[start:end].mean()) / echo_time
        leaked = k2 * convolve_exponential(reference, times[1] - times[0], [k])[0]
    else:
        measured = leaked = np.full(len(times), np.nan)
    model, corrected = k1 * reference - leaked, measured + leaked
    return VoxelCurves(times, measured, model, corrected, reference, k1, k2, k)
