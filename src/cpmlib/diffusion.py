"""Diffusion series -> ADC.

Vocabulary
----------
- *ADC*: apparent diffusion coefficient, here always in 1e-6 mm2/s (= um2/s); normal white matter
  has about 750, free water at body temperature about 3000.
- *b-value*: strength of the diffusion weighting, s/mm2. *b = 0*: a volume up to `B0`.
- *gradient*: direction of the weighting, a unit vector. It may be NaN where b = 0.
- *MD*: mean diffusivity, one third of the trace of the diffusion tensor. It depends neither on the
  axes in which the gradients are given nor on their signs.
- *WLS*, *OLS*: the tensor by weighted or ordinary least squares of the logarithm of the signal.
- *trace-weighted*: ADC from the geometric mean of the diffusion-weighted volumes, as scanners
  compute it.

References
----------
Basser PJ, Mattiello J, LeBihan D (1994) J Magn Reson B 103:247 (the tensor from the logarithms).
Chung S, Lu Y, Henry RG (2006) NeuroImage 33:531 (the weights, as in dipy).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import nibabel as nib
import numpy as np
from numpy.typing import ArrayLike

from cpmlib.errors import DatasetError, Problem
from cpmlib.series import check_series, inside_mask, map_of

Method = Literal["WLS", "OLS", "trace-weighted"]

B0 = 50.0
"""Up to this b-value (s/mm2) a volume is taken as b = 0: scanners write 5 or so for their b0."""

HIGHEST_B = 1500.0
"""Volumes with a higher b-value (s/mm2) are left out: there ln S is not linear in b (kurtosis)."""

LEAST_DIRECTIONS = {"WLS": 6, "OLS": 6, "trace-weighted": 3}
"""A tensor has six unknowns; its trace needs three orthogonal directions."""

SAME_DIRECTION = np.cos(np.radians(1.0))
"""Gradients less than 1 degree apart, or from each other's opposite, are one direction."""

NORM_TOLERANCE = 0.05
"""Gradients of a length this close to 1 are rounded unit vectors; others may hide a b-value."""

UNEVEN = 0.1
"""How far the mean of g g^T may lie from one third of the identity, for a mean to be a trace."""

LEAST_ADC = 1.0
"""ADC (1e-6 mm2/s) below which the signal does not fall with b: the voxel has no ADC."""

HIGHEST_ADC = 5000.0
"""ADC (1e-6 mm2/s) above which a value is a fault: free water at body temperature has 3000, and
noise takes fluid to 4100 in a real series of 64 directions."""

MOST_LOST = 0.1
"""Share of a voxel's weighted signals that may be lost, not being above 0."""

LARGEST_TEXT = 1_000_000
"""Bytes; a file of gradients has some thousands."""

VOXELS_AT_ONCE = 20_000


def read_gradients(
    bval_path: str | os.PathLike[str], bvec_path: str | os.PathLike[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Read the b-values and gradients of a series from the two texts that go with it.

    Parameters
    ----------
    bval_path
        Numbers separated by white space, s/mm2.
    bvec_path
        Three rows of V numbers (FSL and BIDS), or V rows of three.

    Returns
    -------
    bvals : (V,)
        s/mm2.
    bvecs : (V, 3)
        As they stand in the file; NaN is allowed where b = 0.

    Raises
    ------
    DatasetError
        If a file is absent, is no text of numbers, or both do not agree.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "a.bval").write_text("0 1000")
    ...     np.savetxt(Path(folder, "a.bvec"), [[0, 1], [0, 0], [0, 0]])
    ...     read_gradients(Path(folder, "a.bval"), Path(folder, "a.bvec"))[1].tolist()
    [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]]
    """
    bval, bvec = Path(bval_path), Path(bvec_path)
    rows = _rows_of_numbers(bval)
    if len(rows) > 1 and max(map(len, rows)) > 1:
        raise _fault(bval.name, f"{len(rows)} rows of numbers", "one row of b-values")
    bvals = np.array([value for row in rows for value in row])
    rows = _rows_of_numbers(bvec)
    lengths = {len(row) for row in rows}
    if len(lengths) > 1:
        raise _fault(bvec.name, f"rows of {sorted(lengths)} numbers", "rows of equal length")
    return _gradients(bvals, np.array(rows), len(bvals), bvec.name)


def apparent_diffusion_coefficient(
    series: nib.Nifti1Image,
    bvals: ArrayLike,
    bvecs: ArrayLike,
    mask: nib.Nifti1Image | None = None,
    method: Method = "WLS",
    name: str = "dwi",
) -> nib.Nifti1Image:
    r"""Compute the ADC of each voxel from a diffusion series.

    With ``"WLS"`` and ``"OLS"`` it is the mean diffusivity of the tensor that dipy fits,
    :math:`\ln S_i = \ln S_0 - b_i\, g_i^T D\, g_i` (Basser 1994). With ``"trace-weighted"`` it is
    :math:`\sum_i \ln(S_0 / S_i) / \sum_i b_i`, which for one b-value is the logarithm of S0 over
    the geometric mean of the weighted volumes, divided by b. A weighted signal that is not
    positive is lost in noise; it counts as the smallest positive one of its voxel, since a
    logarithm of nearly 0 would outweigh all others (among 12 directions it would make an ADC of
    800 one of 2700 by least squares).

    Parameters
    ----------
    series : (X, Y, Z, V) image
        Signal, arbitrary units.
    bvals : (V,)
        s/mm2.
    bvecs : (V, 3) or (3, V)
        Unit vectors in any axes; of no account (and possibly NaN) where b = 0.
    mask
        3-D image on the same grid; all voxels if None.
    method
        How.
    name
        What to call the series in a message.

    Returns
    -------
    nibabel.Nifti1Image
        ADC, 1e-6 mm2/s, float32. NaN outside the mask, where a signal is not finite, where b = 0
        gives no signal, where more than `MOST_LOST` of the weighted signals are lost, where the
        signal does not fall with b, and where the ADC would be above `HIGHEST_ADC`.

    Raises
    ------
    DatasetError
        If the image is no series; b-values, gradients and volumes disagree in number; there is no
        b = 0, no b-value up to `HIGHEST_B`, or too few directions; gradients are no unit vectors;
        the mask does not fit; or no voxel has an ADC.
    ValueError
        If the method is unknown.

    Examples
    --------
    >>> bvecs = np.vstack([np.full(3, np.nan), np.eye(3)])
    >>> signal = 500 * np.exp(-np.array([0, 0.8, 0.8, 0.8]))
    >>> series = nib.Nifti1Image(np.full((1, 1, 1, 4), signal, dtype=np.float32), np.eye(4))
    >>> adc = apparent_diffusion_coefficient(
    ...     series, [0, 1000, 1000, 1000], bvecs, method="trace-weighted"
    ... )
    >>> float(adc.get_fdata().round(2).item())
    800.0
    """
    if method not in LEAST_DIRECTIONS:
        raise ValueError(f"method is {method!r}; expected one of {', '.join(LEAST_DIRECTIONS)}")
    check_series(series, name)
    b, g = _gradients(np.array(bvals, float), np.array(bvecs, float), series.shape[3], name)
    used = _usable(b, g, method, name)
    b, g = b[used], g[used]
    everywhere = np.ones(series.shape[:3], dtype=bool)
    inside = everywhere if mask is None else inside_mask(mask, series, f"mask of {name}")
    signal = np.asarray(series.dataobj)[inside][:, used]
    adc = np.full(len(signal), np.nan)
    for start in range(0, len(signal), VOXELS_AT_ONCE):
        part = slice(start, start + VOXELS_AT_ONCE)
        adc[part] = _adc_of_voxels(signal[part].astype(float), b, g, method)
    if np.isnan(adc).all():
        found, expected = "no voxel with an ADC", "a signal at b = 0 that falls with b"
        raise DatasetError(Problem(name, found, expected, "check the order of the b-values"))
    return map_of(adc, inside, series)


def _rows_of_numbers(path: Path) -> list[list[float]]:
    if not path.is_file():
        raise _fault(path.name, "no such file", "a text of numbers")
    if (size := path.stat().st_size) > LARGEST_TEXT:
        raise _fault(path.name, f"{size} bytes", f"a text of at most {LARGEST_TEXT} bytes")
    try:
        text = path.read_text(encoding="utf-8-sig")
        rows = [[float(word) for word in line.split()] for line in text.splitlines()]
    except ValueError as error:  # of which a UnicodeDecodeError is one
        kind = "bytes that are no text" if isinstance(error, UnicodeError) else str(error)
        raise _fault(path.name, kind, "numbers separated by spaces") from None
    rows = [row for row in rows if row]
    if not rows:
        raise _fault(path.name, "an empty file", "numbers separated by spaces")
    return rows


def _fault(file: str, found: str, expected: str) -> DatasetError:
    remedy = "export the b-values and gradients again with the series"
    return DatasetError(Problem(file, found, expected, remedy))


def _gradients(
    bvals: np.ndarray, bvecs: np.ndarray, count: int, name: str
) -> tuple[np.ndarray, np.ndarray]:
    """Return b-values (V,) and gradients (V, 3) that fit `count` volumes."""
    if bvals.shape != (count,):
        found = f"{count} volumes and {bvals.size} b-values"
        raise _fault(name, found, "one b-value for each volume")
    wrong = np.flatnonzero(~(np.isfinite(bvals) & (bvals >= 0)))
    if len(wrong):
        found = f"a b-value of {bvals[wrong[0]]:g} for volume {wrong[0] + 1}"
        raise _fault(name, found, "finite b-values from 0, s/mm2")
    if bvecs.shape == (3, count) and count != 3:
        bvecs = bvecs.T
    if bvecs.shape != (count, 3):
        found = f"gradients of shape {bvecs.shape} for {count} b-values"
        raise _fault(name, found, f"3 x {count} or {count} x 3 numbers")
    return bvals, bvecs


def _usable(b: np.ndarray, g: np.ndarray, method: Method, name: str) -> np.ndarray:
    """Return which volumes are fitted; make their gradients unit vectors, in place."""
    weighted = (b > B0) & (b <= HIGHEST_B)
    if not (b <= B0).any():
        raise _fault(name, f"b-values from {b.min():g} s/mm2", f"a volume with b up to {B0:g}")
    if not weighted.any():
        found = f"b-values from {b.min():g} to {b.max():g} s/mm2"
        raise _fault(name, found, f"b-values between {B0:g} and {HIGHEST_B:g}, as 1000")
    length = np.linalg.norm(g, axis=1)
    wrong = np.flatnonzero(weighted & ~(np.abs(length - 1) <= NORM_TOLERANCE))
    if len(wrong):
        found = f"a gradient of length {length[wrong[0]]:.3g} for volume {wrong[0] + 1}"
        raise _fault(name, found, "unit vectors for the diffusion-weighted volumes")
    g[weighted] /= length[weighted, None]
    directions, least = _directions(g[weighted]), LEAST_DIRECTIONS[method]
    if len(directions) < least:
        found = f"{len(directions)} directions"
        raise _fault(name, found, f"at least {least} directions for {method}")
    if method == "trace-weighted":
        mean = np.einsum("v,vi,vj->ij", b[weighted], g[weighted], g[weighted]) / b[weighted].sum()
        if np.abs(np.linalg.eigvalsh(mean) - 1 / 3).max() > UNEVEN:
            expected = "directions spread evenly, whose mean is a trace"
            raise _fault(name, "directions that crowd along some axes", expected)
    elif np.linalg.matrix_rank(_products(directions), tol=1e-3) < 6:
        found = "directions that leave the tensor undetermined, such as all in one plane"
        raise _fault(name, found, "directions spread over the sphere")
    return weighted | (b <= B0)


def _directions(g: np.ndarray) -> np.ndarray:
    """Return the gradients that differ from all before them, (D, 3)."""
    kept: list[np.ndarray] = []
    for vector in g:
        if all(abs(vector @ other) < SAME_DIRECTION for other in kept):
            kept.append(vector)
    return np.array(kept)


def _products(g: np.ndarray) -> np.ndarray:
    x, y, z = g.T
    return np.column_stack([x * x, y * y, z * z, 2 * x * y, 2 * x * z, 2 * y * z])


def _adc_of_voxels(signal: np.ndarray, b: np.ndarray, g: np.ndarray, method: Method) -> np.ndarray:
    """Return the ADC (N,), 1e-6 mm2/s, of signals (N, V); NaN where there is none."""
    unweighted = b <= B0
    usable = np.isfinite(signal).all(axis=1) & (signal[:, unweighted] > 0).all(axis=1)
    usable &= (signal[:, ~unweighted] <= 0).mean(axis=1) <= MOST_LOST
    adc = np.full(len(signal), np.nan)
    if not usable.any():
        return adc
    signal = signal[usable]
    smallest = np.where(signal > 0, signal, np.inf).min(axis=1, keepdims=True)
    signal = np.where(signal > 0, signal, smallest)
    if method == "trace-weighted":
        diffusivity = _trace(signal, b)
    else:
        # Here, since most patients need no fit and dipy takes as long to load as they take.
        from dipy.core.gradients import gradient_table
        from dipy.reconst.dti import TensorModel

        # A gradient at b = 0 has no meaning; if it is NaN, so would be every tensor
        vectors = np.where(unweighted[:, None], 0.0, g)
        table = gradient_table(np.where(unweighted, 0.0, b), bvecs=vectors, b0_threshold=0)
        diffusivity = TensorModel(table, fit_method=method).fit(signal).md
    adc[usable] = 1e6 * diffusivity
    adc[~((adc >= LEAST_ADC) & (adc <= HIGHEST_ADC))] = np.nan
    return adc


def _trace(signal: np.ndarray, b: np.ndarray) -> np.ndarray:
    log = np.log(signal)
    fall = log[:, b <= B0].mean(axis=1, keepdims=True) - log[:, b > B0]
    return np.asarray(fall.sum(axis=1) / b[b > B0].sum())
