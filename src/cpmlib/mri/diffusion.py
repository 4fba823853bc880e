"""Diffusion series -> ADC.

The ADC is always in 1e-6 mm2/s (= um2/s): normal white matter has about 750, free water at body
temperature about 3000. B-matrices and shells are those of `cpmlib.mri.gradients`.

Vocabulary
----------
- *mean diffusivity*: one third of the trace of the diffusion tensor, which is fitted by weighted or
  ordinary least squares (WLS, OLS) to the logarithm of the signal. It depends neither on the axes
  in which the gradients are given nor on their signs.
- *trace-weighted*: ADC from the geometric mean of the diffusion-weighted volumes, as scanners
  compute it.

References
----------
Basser PJ, Mattiello J, LeBihan D (1994) J Magn Reson B 103:247 (the tensor from the logarithms).
Chung S, Lu Y, Henry RG (2006) NeuroImage 33:531 (the weights, as in dipy).
Westin CF, et al. (2016) NeuroImage 135:345 (b-matrices of weightings along several axes).
"""

from __future__ import annotations

from typing import get_args

import nibabel as nib
import numpy as np
from numpy.typing import ArrayLike

from cpmlib.mri.gradients import Method, Scheme, check_gradients, choose_volumes
from cpmlib.mri.series import grid_of, inside_mask, map_of
from cpmlib.mri.volume import Image
from cpmlib.study.errors import fault

MIN_ADC = 1.0
"""ADC (1e-6 mm2/s) below which the signal does not fall with b: the voxel has no ADC."""
MAX_ADC = 5000.0
"""ADC (1e-6 mm2/s) above which a value is a fault: free water at body temperature has 3000, and
noise takes fluid to 4100 in a real series of 64 directions."""
MAX_LOST = 0.1
"""Share of a voxel's weighted signals that may be lost, not being above 0."""
VOXELS_AT_ONCE = 20_000


def apparent_diffusion_coefficient(
    series: nib.Nifti1Image,
    bvals: ArrayLike,
    bvecs: ArrayLike,
    mask: Image | None = None,
    method: Method = "auto",
    name: str = "dwi",
) -> nib.Nifti1Image:
    r"""Compute the ADC of each voxel from a diffusion series, called `name` in messages.

    With ``"WLS"`` and ``"OLS"`` it is that of the tensor that dipy fits,
    :math:`\ln S_i = \ln S_0 - \mathrm{tr}(B_i D)`, with the b-matrix :math:`B_i = b_i\, g_i g_i^T`
    (Basser 1994). With ``"trace-weighted"`` it is
    :math:`(\overline{\ln S_r} - \overline{\ln S_i}) / (\bar b_i - \bar b_r)`, means over the
    lowest shell r and over the weighted volumes i, each direction once; for one at b = 0 that is
    the logarithm of S0 over the geometric mean, divided by b. A weighted signal that is not
    positive is lost in noise; it counts as the smallest positive one of its voxel, since a
    logarithm of nearly 0 would outweigh all others (among 12 directions it would make an ADC of
    800 one of 2700 by least squares).

    The mask lies on the grid of the series (X, Y, Z, V); b-values, gradients and method are as
    `cpmlib.mri.gradients.choose_volumes` takes them.

    Returns
    -------
    nibabel.Nifti1Image
        1e-6 mm2/s, float32. NaN outside the mask, where a signal is not finite, the lowest shell
        gives none, more than `MAX_LOST` of the weighted signals are lost, the signal does not fall
        with b, or the ADC would be above `MAX_ADC`.

    Examples
    --------
    >>> bvecs = np.vstack([np.full(3, np.nan), np.eye(3)])
    >>> signal = 500 * np.exp(-np.array([0, 0.8, 0.8, 0.8]))
    >>> series = nib.Nifti1Image(np.full((1, 1, 1, 4), signal, dtype=np.float32), np.eye(4))
    >>> adc = apparent_diffusion_coefficient(series, [0, 1000, 1000, 1000], bvecs)
    >>> float(adc.get_fdata().round(2).item())
    800.0
    """
    if method not in get_args(Method):
        raise ValueError(f"method is {method!r}; expected one of {', '.join(get_args(Method))}")
    grid = grid_of(series, name)
    scheme = choose_volumes(*check_gradients(bvals, bvecs, series.shape[3], name), method, name)
    everywhere = np.ones(grid.shape, dtype=bool)
    inside = everywhere if mask is None else inside_mask(mask, grid, f"mask of {name}")
    signal = np.asarray(series.dataobj)[inside][:, scheme.used]
    adc = np.full(len(signal), np.nan)
    for start in range(0, len(signal), VOXELS_AT_ONCE):
        part = slice(start, start + VOXELS_AT_ONCE)
        adc[part] = _adc_of_voxels(signal[part].astype(float), scheme)
    if np.isnan(adc).all():
        found, expected = "no voxel with an ADC", "a signal at b = 0 that falls with b"
        raise fault(name, found, expected, "check the order of the b-values")
    return map_of(adc, inside, grid.affine)


def _adc_of_voxels(signal: np.ndarray, scheme: Scheme) -> np.ndarray:
    reference = scheme.reference
    usable = np.isfinite(signal).all(axis=1) & (signal[:, reference] > 0).all(axis=1)
    usable &= (signal[:, ~reference] <= 0).mean(axis=1) <= MAX_LOST
    adc = np.full(len(signal), np.nan)
    if not usable.any():
        return adc
    signal = signal[usable]
    smallest = np.where(signal > 0, signal, np.inf).min(axis=1, keepdims=True)
    signal = np.where(signal > 0, signal, smallest)
    give = _trace if scheme.method == "trace-weighted" else _mean_diffusivity
    adc[usable] = 1e6 * give(signal, scheme)
    adc[~((adc >= MIN_ADC) & (adc <= MAX_ADC))] = np.nan
    return adc


def _mean_diffusivity(signal: np.ndarray, scheme: Scheme) -> np.ndarray:
    # Here, since most patients need no fit and dipy takes as long to load as they take.
    from dipy.core.gradients import gradient_table
    from dipy.reconst.dti import TensorModel

    # dipy takes the b-matrices; b-values and gradients are there for its checks only
    b = np.trace(scheme.b_matrices, axis1=1, axis2=2)
    unit = np.tile([1.0, 0, 0], (len(b), 1))
    table = gradient_table(b, bvecs=unit, b0_threshold=0, btens=scheme.b_matrices)
    return np.asarray(TensorModel(table, fit_method=scheme.method).fit(signal).md)


def _trace(signal: np.ndarray, scheme: Scheme) -> np.ndarray:
    signed = np.where(scheme.reference, scheme.weights, -scheme.weights)
    span = -signed @ np.trace(scheme.b_matrices, axis1=1, axis2=2)
    return np.asarray(np.log(signal) @ signed / span)
