"""DSC series -> relative cerebral blood volume, corrected for leakage in both directions.

A bolus of gadolinium darkens a T2*-weighted series while it passes. The area under the change of
relaxation rate is the blood volume, unless the agent leaves the vessels: outside, it shortens T1
(brighter, volume too low) or T2* (darker, too high). With R(t) the mean curve of brain that does
not enhance, a voxel's curve is modelled as (Leu 2016; CAPLEX M.LC1.002)

    dR2*(t) = K1 R(t) - K2 int_0^t R(u) exp(-k (t - u)) du

and corrected to dR2*(t) + K2 int_0^t R(u) exp(-k (t - u)) du.

R(t) has one arrival and one width of the bolus. Where it comes later or passes more slowly, as
behind a narrowed artery, the difference is fitted as leakage of the T2* kind, with k at its upper
bound, and the corrected blood volume is too low; where it comes earlier, too high. R2 does not show
it. So the share of the brain with k at its bound is reported, and the uncorrected map is kept.

CBV is the area under the curve; rCBV is it over the mean CBV of normal-appearing white matter.

Vocabulary
----------
- *relaxation change*, dR2*: change of the relaxation rate from that before the bolus,
  -ln(S / S0) / TE, 1/s.
- *reference curve*, R(t): mean dR2* of the non-enhancing brain, 1/s.
- *K1*: share of the reference curve in the voxel's, without unit: its blood volume.
- *K2*: leakage, 1/s; above 0 where T1 shortening prevails, below 0 where T2* does.
- *return rate*, k: how fast the agent returns into the vessels, 1/s.
- *unidirectional*: a leakage correction with k = 0: the agent stays outside (Boxerman, Schmainda
  and Weisskoff 2006).
- *bidirectional*: a leakage correction in which k is fitted.

References
----------
Boxerman JL, Schmainda KM, Weisskoff RM (2006) AJNR Am J Neuroradiol 27:859.
Leu K, Boxerman JL, Cloughesy TF et al. (2016) AJNR Am J Neuroradiol 37:1440.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import get_args

import nibabel as nib
import numpy as np

from cpmlib.mri.bolus import (
    Bolus,
    curves_of,
    find_bolus,
    mean_curve,
    measure_baselines,
    reference_voxels,
)
from cpmlib.mri.leakage import MAX_RATE, convolve_exponential, fit_leakage
from cpmlib.mri.patient import PerfusionSeries
from cpmlib.mri.series import grid_of, inside_mask, map_of
from cpmlib.mri.volume import Image, Volume
from cpmlib.mri.white_matter import MIN_WHITE, normal_white_matter, white_on_grid
from cpmlib.study.errors import fault
from cpmlib.study.options import ImageOptions, LeakageCorrection, ReferenceRule

REPETITION_TIMES = (0.2, 6.0)
"""Seconds between volumes of a series that can follow a bolus."""
ECHO_TIMES = (0.005, 0.2)
"""Seconds; outside, a T2*-weighted series would show no bolus or no signal."""
SMALL_REFERENCE = 0.1
"""Share of the brain below which a note says how small the reference is."""
MAX_AT_BOUND = 0.45
"""Share of the brain with k at its upper bound from which a note is made. By noise alone, at any
level, it is at most 0.38: in tissue that does not leak every k fits as well."""
FITTED = ("rcbv", "rcbv_uncorrected", "k1", "k2", "k", "r2", "residual_sd")


@dataclass(frozen=True)
class PerfusionFit:
    """What was made of a DSC series; all images on its grid, NaN outside the brain.

    ``r2`` and ``residual_sd`` (1/s) are those of `cpmlib.mri.leakage.LeakageFit`; ``non_enhancing``
    is 1 in the voxels whose mean is the reference curve. ``times``, (T,), are seconds from the last
    volume of the baseline, where the integrals begin, negative before; ``reference``, (T,), is in
    1/s, NaN before the baseline, whose first volume and the first after it are ``baseline``.
    """

    rcbv: nib.Nifti1Image
    rcbv_uncorrected: nib.Nifti1Image
    k1: nib.Nifti1Image
    k2: nib.Nifti1Image
    k: nib.Nifti1Image
    r2: nib.Nifti1Image
    residual_sd: nib.Nifti1Image
    non_enhancing: nib.Nifti1Image
    times: np.ndarray
    reference: np.ndarray
    baseline: tuple[int, int]
    leakage: LeakageCorrection

    @property
    def quality(self) -> dict[str, float]:
        """Numbers for quality control; ``perfusion_k_at_bound`` is a share of the brain."""
        numbers = {
            "perfusion_r2": float(np.nanmedian(np.asarray(self.r2.dataobj))),
            "perfusion_reference": float(np.nanmean(np.asarray(self.non_enhancing.dataobj))),
        }
        if self.leakage == "bidirectional":
            k = np.asarray(self.k.dataobj)
            at_bound = k[np.isfinite(k)] >= MAX_RATE * (1 - 1e-6)  # the map is float32
            numbers["perfusion_k_at_bound"] = float(np.mean(at_bound))
        return numbers

    @property
    def notes(self) -> list[str]:
        """What the author should know of the fit."""
        notes, quality = [], self.quality
        if (share := quality["perfusion_reference"]) < SMALL_REFERENCE:
            notes.append(
                f"rCBV: the reference curve is the mean of {100 * share:.1g} % of the brain;"
                " perfusion_reference=circulation takes more where noise is small"
            )
        if (share := quality.get("perfusion_k_at_bound", 0)) > MAX_AT_BOUND:
            notes.append(
                f"rCBV: k is at its upper bound in {100 * share:.0f} % of the brain; a bolus that"
                " comes late or slowly passes for leakage, so compare with the uncorrected map"
            )
        return notes


def rcbv_from_series(
    series: PerfusionSeries,
    contrasts: Mapping[str, Volume],
    mask: Volume,
    options: ImageOptions,
    name: str = "dsc",
) -> tuple[PerfusionFit, list[str]]:
    """Fit a patient's series in the brain, in units of normal-appearing white matter.

    The contrasts, as `cpmlib.mri.white_matter.normal_white_matter` takes them, lie on the grid of
    the brain mask, the fit on that of the series, which is called `name` in messages.
    """
    white, notes = normal_white_matter(contrasts, mask)
    normal, more = white_on_grid(white, series.grid)
    fit = relative_cbv(
        series.image,
        series.repetition_time,
        series.echo_time,
        mask.resampled(series.grid, "nearest"),
        normal,
        leakage=options.leakage_correction,
        name=name,
        reference=options.perfusion_reference,
    )
    return fit, [*series.notes, *notes, *more, *fit.notes]


def relative_cbv(
    series: nib.Nifti1Image,
    repetition_time: float,
    echo_time: float,
    mask: Image,
    white_matter: Image,
    leakage: LeakageCorrection = "bidirectional",
    name: str = "dsc",
    reference: ReferenceRule = "baseline",
) -> PerfusionFit:
    """Compute rCBV from a DSC series (X, Y, Z, T), called `name`; masks lie on its grid.

    CBV is the trapezoidal integral of the corrected curve from the last volume before the bolus to
    the end. The reference curve, voxels without a value and the rule `reference` are those of
    `cpmlib.mri.bolus`. Noise may make an rCBV negative; it stays so, since a mean of values cut at
    0 would be too high. Times are in seconds.

    Examples
    --------
    >>> time = np.arange(0, 90, 1.5)
    >>> blood = np.repeat([1.0, 2.0], 60)[:, None]
    >>> bolus = 3e-3 * np.maximum(time - 20, 0) ** 3 * np.exp(-np.maximum(time - 20, 0) / 2)
    >>> signal = (500 * np.exp(-blood * bolus)).reshape(120, 1, 1, -1).astype(np.float32)
    >>> ones = Volume(np.ones((120, 1, 1)), np.eye(4))
    >>> white = Volume((blood == 1).reshape(120, 1, 1), np.eye(4))
    >>> fit = relative_cbv(nib.Nifti1Image(signal, np.eye(4)), 1.5, 0.03, ones, white)
    >>> fit.rcbv.get_fdata()[[0, -1], 0, 0].round(4)
    array([1., 2.])
    """
    if leakage not in get_args(LeakageCorrection) or reference not in get_args(ReferenceRule):
        raise ValueError(f"leakage is {leakage!r} and reference {reference!r}; see the docstring")
    grid = grid_of(series, name)
    _check_times(repetition_time, echo_time, name)
    inside = inside_mask(mask, grid, f"mask of {name}")
    white = inside_mask(white_matter, grid, f"white matter of {name}")[inside]
    values, voxels = np.asanyarray(series.dataobj), np.argwhere(inside)
    bolus = find_bolus(mean_curve(values, voxels, name), repetition_time, name)
    baselines = measure_baselines(values, voxels, bolus, name)
    still = reference_voxels(baselines, reference, name)
    mean = np.full(values.shape[3], np.nan)
    mean[bolus.start :] = _mean_fall(values, voxels[still], baselines.s0[still], bolus) / echo_time
    fitted = {key: np.full(len(voxels), np.nan) for key in FITTED}
    for part, signal in curves_of(values, voxels):
        usable = baselines.usable[part]
        s0 = baselines.s0[part][usable, None]
        rate = -np.log(signal[usable][:, bolus.end - 1 :] / s0) / echo_time
        columns = _fit(rate, mean[bolus.end - 1 :], repetition_time, leakage)
        for key, column in zip(FITTED, columns, strict=True):
            fitted[key][part][usable] = column
    for key in ("rcbv", "rcbv_uncorrected"):
        fitted[key] /= _white_mean(fitted[key][baselines.usable & white], name)
    fitted["non_enhancing"] = still
    return PerfusionFit(
        **{key: map_of(column, inside, grid.affine) for key, column in fitted.items()},
        times=(np.arange(values.shape[3]) - (bolus.end - 1)) * repetition_time,
        reference=mean,
        baseline=(bolus.start, bolus.end),
        leakage=leakage,
    )


def _fit(
    rate: np.ndarray, reference: np.ndarray, step: float, leakage: LeakageCorrection
) -> tuple[np.ndarray, ...]:
    """Return what `FITTED` names, (N,), of curves (N, T); blood volumes are areas, in no unit."""
    fit = fit_leakage(rate, reference, step, leakage)
    measured = np.trapezoid(rate, dx=step)
    cbv = measured + np.trapezoid(fit.leaked, dx=step)
    return cbv, measured, fit.k1, fit.k2, fit.k, fit.r2, fit.residual_sd


@dataclass(frozen=True)
class VoxelCurves:
    """The curves of one voxel from the last baseline volume on, (T,), 1/s, and its parameters.

    ``times`` in seconds; all but the reference are NaN where the voxel has no value.
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
    """Return the curves behind one voxel of a fit; model and corrected curve follow from its maps.

    Arguments as `relative_cbv` was given them; ``voxel`` on the grid of the series.
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


def _check_times(repetition_time: float, echo_time: float, name: str) -> None:
    for what, value, (low, high) in (
        ("repetition time", repetition_time, REPETITION_TIMES),
        ("echo time", echo_time, ECHO_TIMES),
    ):
        if not low <= value <= high:
            found, remedy = f"a {what} of {value:g} s", "give it in seconds, not milliseconds"
            raise fault(name, found, f"{low:g} to {high:g} s", remedy)
    if echo_time >= repetition_time:
        found = f"an echo time of {echo_time:g} s and a repetition time of {repetition_time:g} s"
        raise fault(name, found, "a shorter echo time", "correct both")


def _mean_fall(values: np.ndarray, voxels: np.ndarray, s0: np.ndarray, bolus: Bolus) -> np.ndarray:
    """Average -ln(S / S0) from the first volume of the baseline on."""
    total = np.zeros(values.shape[3] - bolus.start)
    for part, signal in curves_of(values, voxels):
        total -= np.log(signal[:, bolus.start :] / s0[part, None]).sum(axis=0)
    return total / len(voxels)


def _white_mean(cbv: np.ndarray, name: str) -> float:
    remedy = "check the white-matter mask"
    if len(cbv) < MIN_WHITE:
        found = f"{len(cbv)} voxels of normal-appearing white matter with a signal"
        raise fault(name, found, f"at least {MIN_WHITE}", remedy)
    mean = float(cbv.mean())
    if not mean > 0:
        found = f"a mean area of {mean:.3g} in white matter"
        raise fault(name, found, "an area above 0", remedy)
    return mean
