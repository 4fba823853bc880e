"""A patient's images -> maps: ADC, rCBV and the cellularity prediction map on one grid.

Vocabulary
----------
- *reference grid*: that of the T1-weighted image after gadolinium, its axes ordered right,
  anterior, superior, in voxels of the model's size.
- *map*: an image of a quantity: CPM (cells/mm2), ADC (1e-6 mm2/s), rCBV (relative to
  normal-appearing white matter). NaN means no value.
- *note*: something that was assumed or found on the way and that the author should know.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

import nibabel as nib
import numpy as np

from cpmlib.mri.adc import (
    adc_from_series,
    check_volumes,
    first_volume,
    inside_of,
    mask_image,
    without_background,
    without_weighting,
)
from cpmlib.mri.adc_units import adc_in_units, check_fitted
from cpmlib.mri.bias_field import correct_bias_field
from cpmlib.mri.brain_mask import check_mask, find_brain
from cpmlib.mri.gradients import choose_volumes
from cpmlib.mri.grid import reference_grid, resample_to
from cpmlib.mri.images import CONTRASTS
from cpmlib.mri.input_checks import check_inputs
from cpmlib.mri.padding import padding, without_padding
from cpmlib.mri.patient import PatientImages
from cpmlib.mri.perfusion import PerfusionFit
from cpmlib.mri.plausible import check_brought, check_contrasts, check_different, median_of_brain
from cpmlib.mri.rcbv import rcbv_from_series
from cpmlib.mri.registration import AlignmentReport, align, apply_rigid
from cpmlib.study.errors import DatasetError, Problem, collected
from cpmlib.study.options import ImageOptions

if TYPE_CHECKING:
    from cpmlib.cpm.model_file import CpmModel
    from cpmlib.cpm.predict import CpmResult

REGISTER: Mapping[str, bool | Literal["auto"]] = {"auto": "auto", "always": True, "never": False}

BROUGHT = ("CPM", "ADC", "rCBV", "mask")
"""What a study may have made itself."""

FINISHED = ("CPM", "rCBV")
"""Those that are shown as they are, if their unit is right."""

BROUGHT_MAP = "map of the study"
"""Origin of a map that was brought."""

COVERED = 0.98
"""Share of the brain that a contrast must cover for no note to be made."""


@dataclass(frozen=True)
class PatientMaps:
    """What was made of a patient's images.

    Parameters
    ----------
    maps
        ``"CPM"``, ``"ADC"``, ``"rCBV"``, ``"mask"`` and what else was made; only what there is.
    contrasts
        The contrasts on the reference grid, as the model saw them.
    notes
        What was assumed or found.
    quality
        Numbers for quality control, by name.
    cellularity
        The prediction in full, where the map was predicted.
    perfusion
        The fit in full, where rCBV was fitted.
    alignment
        How each contrast came to the reference grid, where there are contrasts.
    origins
        Where CPM, ADC and rCBV came from, in words.
    """

    maps: Mapping[str, nib.Nifti1Image]
    contrasts: Mapping[str, nib.Nifti1Image] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    quality: Mapping[str, float] = field(default_factory=dict)
    cellularity: CpmResult | None = None
    perfusion: PerfusionFit | None = None
    alignment: AlignmentReport | None = None
    origins: Mapping[str, str] = field(default_factory=dict)


def make_maps(
    images: PatientImages,
    model: CpmModel | None,
    options: ImageOptions | None = None,
) -> PatientMaps:
    """Make every map that a patient's images allow; what a study brings is used as it is.

    Parameters
    ----------
    images
        As read.
    model
        For the cellularity map; not needed where the study brings the map.
    options
        How.

    Returns
    -------
    PatientMaps
        A cellularity map only if it was brought, or if all contrasts and a model are there.

    Raises
    ------
    DatasetError
        If images cannot be used together, a unit is not clear, or a fit is not possible. What the
        images themselves show to be wrong is told at once.
    """
    problems: list[Problem] = []
    with collected(problems):
        check_different(images.volumes, images.names)
    with collected(problems):
        made = _make_maps(images, model, options or ImageOptions(), problems)
    if problems:
        raise DatasetError(problems)
    return made


def _make_maps(
    images: PatientImages, model: CpmModel | None, options: ImageOptions, problems: list[Problem]
) -> PatientMaps:
    """Make the maps unless there are problems with what they are made of; raise those."""
    volumes, notes, quality = dict(images.volumes), [*images.notes], {}
    fixed = next((kind for kind in ("T1wGd", "T1w") if kind in volumes), None)
    if fixed is None:
        return _brought(volumes, images, problems)
    notes += check_inputs(_inputs(volumes, images), images.names)
    size = model.card.voxel_size if model is not None and images.can_predict else None
    affine, shape = reference_grid(volumes[fixed], size)
    reference = resample_to(volumes[fixed], affine, shape, name=fixed)
    if "mask" in volumes:
        check_mask(volumes["mask"], reference)
    moving = {k: v for k, v in volumes.items() if k in CONTRASTS} | _unweighted(images)
    how = REGISTER[options.registration]
    aligned, report = align(moving, reference, how, volumes.get("mask"), stay=(fixed,))
    images = _moved(images, report)
    aligned = {kind: image for kind, image in aligned.items() if kind in CONTRASTS}
    notes += report.moves
    mask = _mask(volumes, aligned, reference, notes)
    aligned |= _without_fill(volumes, aligned, report, mask)
    maps: dict[str, nib.Nifti1Image] = {"mask": mask}
    result, fit = None, None
    quality["brain_ml"] = float(inside_of(mask).sum() * _voxel_ml(mask))
    if options.bias_correction:
        for kind in ("T1w", "T1wGd", "FLAIR"):
            if kind in aligned:
                aligned[kind] = correct_bias_field(aligned[kind], mask)
    with collected(problems):
        adc = _adc(images, aligned, mask, notes)
        if adc is not None:
            maps["ADC"] = aligned["ADC"] = adc
    judged = aligned if "ADC" in maps else {k: v for k, v in aligned.items() if k != "ADC"}
    with collected(problems):
        notes += check_contrasts(judged, mask, images.names)
    maps |= {kind: volumes[kind] for kind in FINISHED if kind in volumes}
    with collected(problems):
        _check_brought(maps, images, notes)
    if problems:
        raise DatasetError(problems)
    if "CPM" not in volumes and model is not None and images.can_predict:
        mask = maps["mask"] = _covered(aligned, mask, notes)
        from cpmlib.cpm.predict import cellularity_map

        result = cellularity_map(model, aligned, mask, options.cpm_normalise)
        maps["CPM"], maps["extrapolation"] = result.image, result.extrapolation
        notes += result.warnings
        quality["raw_sd"] = result.raw_sd
        for kind, share in result.extrapolation_share.items():
            quality[f"extrapolation_{kind}"] = share
    if "rCBV" not in volumes and images.perfusion is not None:
        name = images.names.get("dsc", "dsc")
        fit, found = rcbv_from_series(images.perfusion, aligned, mask, options, name)
        maps["rCBV"], maps["rCBV_fit"], notes = fit.rcbv, fit.r2, [*notes, *found]
        maps["rCBV_uncorrected"], quality = fit.rcbv_uncorrected, {**quality, **fit.quality}
    quality |= _medians(maps)
    origins = _origins(maps, images, model)
    return PatientMaps(maps, aligned, tuple(notes), quality, result, fit, report, origins)


def _brought(
    volumes: dict[str, nib.Nifti1Image], images: PatientImages, problems: list[Problem]
) -> PatientMaps:
    """Take finished maps as they are, and say what cannot be used without a T1-weighted image."""
    maps: dict[str, nib.Nifti1Image] = {k: volumes[k] for k in BROUGHT if k in volumes}
    notes = [*images.notes, *check_inputs(maps, images.names)]
    unused = [kind for kind in CONTRASTS if kind in volumes and kind not in maps]
    unused += [k for k, s in (("dwi", images.diffusion), ("dsc", images.perfusion)) if s]
    for kind in unused:
        name = images.names.get(kind, kind)
        notes.append(f"{name}: not used; no T1-weighted image shows where the brain is")
    finished = [kind for kind in maps if kind != "mask"]
    if "mask" in maps and finished:
        check_mask(maps["mask"], maps[finished[0]])
    elif finished:
        first = maps[finished[0]]
        maps["mask"] = mask_image(~padding(np.asarray(first.dataobj)), first)
        name = images.names.get(finished[0], finished[0])
        notes.append(f"no brain mask: the brain is what the zeros around {name} enclose")
    if "ADC" in maps:
        adc = without_background(maps["ADC"])
        brain = resample_to(maps["mask"], adc.affine, adc.shape, "nearest", "mask")
        with collected(problems):
            maps["ADC"], note = adc_in_units(adc, brain, images.names.get("ADC", "ADC"))
            notes.append(note)
    _check_brought(maps, images, notes)
    origins = _origins(maps, images, None)
    return PatientMaps(maps, {}, tuple(notes), _medians(maps), origins=origins)


def _check_brought(
    maps: dict[str, nib.Nifti1Image], images: PatientImages, notes: list[str]
) -> None:
    """Check the finished maps against their units; the ADC's was looked at before."""
    problems: list[Problem] = []
    for kind in FINISHED:
        if kind in images.volumes:
            name = images.names.get(kind, kind)
            with collected(problems):
                maps[kind], found = check_brought(kind, maps[kind], maps["mask"], name)
                notes += found
    if problems:
        raise DatasetError(problems)


def _medians(maps: Mapping[str, nib.Nifti1Image]) -> dict[str, float]:
    """Return the brain's median of each map, by which patients are compared."""
    kinds = [kind for kind in ("CPM", "ADC", "rCBV") if kind in maps]
    return {f"median_{kind}": median_of_brain(maps[kind], maps["mask"]) for kind in kinds}


def _origins(
    maps: Mapping[str, nib.Nifti1Image], images: PatientImages, model: CpmModel | None
) -> dict[str, str]:
    made = {"ADC": "diffusion series", "rCBV": "perfusion series"}
    if model is not None:
        made["CPM"] = f"predicted by: {model.card.label}"
    kinds = [kind for kind in ("CPM", "ADC", "rCBV") if kind in maps]
    return {kind: BROUGHT_MAP if kind in images.volumes else made[kind] for kind in kinds}


def _inputs(
    volumes: Mapping[str, nib.Nifti1Image], images: PatientImages
) -> dict[str, nib.Nifti1Image]:
    """Images that must lie in one place; of a series one volume."""
    inputs = {kind: volumes[kind] for kind in (*CONTRASTS, *BROUGHT) if kind in volumes}
    return inputs | _unweighted(images)


def _unweighted(images: PatientImages) -> dict[str, nib.Nifti1Image]:
    """Return of each series what shows the head best: no diffusion weighting, no bolus."""
    found = {}
    if images.diffusion is not None:
        found["dwi"] = without_weighting(images.diffusion)
    if images.perfusion is not None:
        found["dsc"] = first_volume(images.perfusion.image)
    return found


def _moved(images: PatientImages, report: AlignmentReport) -> PatientImages:
    """Return a patient's images with each series where its registration puts it.

    Only its affine changes, and with it the place of all that is made of it. The gradients stay:
    they are used for the mean diffusivity, which no rotation changes.
    """
    for part, kind in (("diffusion", "dwi"), ("perfusion", "dsc")):
        if kind in report.registered:
            series = getattr(images, part)
            image = apply_rigid(series.image, report.transforms[kind])
            images = replace(images, **{part: replace(series, image=image)})
    return images


def _mask(
    volumes: Mapping[str, nib.Nifti1Image],
    aligned: Mapping[str, nib.Nifti1Image],
    reference: nib.Nifti1Image,
    notes: list[str],
) -> nib.Nifti1Image:
    if "mask" in volumes:
        own = resample_to(volumes["mask"], reference.affine, reference.shape, "nearest", "mask")
        return mask_image(np.asarray(own.dataobj) > 0.5, reference)
    mask, found = find_brain(aligned.get("T1w", reference))
    notes += found
    return mask


def _without_fill(
    volumes: Mapping[str, nib.Nifti1Image],
    aligned: Mapping[str, nib.Nifti1Image],
    report: AlignmentReport,
    mask: nib.Nifti1Image,
) -> dict[str, nib.Nifti1Image]:
    """Read the contrasts again in which 0 stands for no value, so that no 0 is interpolated.

    That is the ADC, and others where zeros around them reach into the brain: a slab that was
    padded, or a head that was cut out by a smaller mask.
    """
    inside, again = inside_of(mask), {}
    for kind in aligned:
        if kind == "ADC":
            image = without_background(volumes[kind])
        elif _padded(aligned[kind], inside):
            image = without_padding(volumes[kind])
        else:
            continue
        if kind in report.registered:
            image = apply_rigid(image, report.transforms[kind])
        again[kind] = resample_to(image, mask.affine, mask.shape, name=kind)
    return again


def _padded(image: nib.Nifti1Image, inside: np.ndarray) -> bool:
    values = np.asarray(image.dataobj)
    zeros = inside & (values == 0)
    # To find out whether they lie within the tissue takes longer.
    return bool(zeros.any() and (zeros & padding(values)).any())


def _adc(
    images: PatientImages,
    aligned: Mapping[str, nib.Nifti1Image],
    mask: nib.Nifti1Image,
    notes: list[str],
) -> nib.Nifti1Image | None:
    """Return the ADC on the reference grid: a map that is there, or one made from the series."""
    if "ADC" in aligned:
        image, note = adc_in_units(aligned["ADC"], mask, images.names.get("ADC", "ADC"))
        notes.append(note)
        return image
    series = images.diffusion
    if series is None:
        return None
    name = images.names.get("dwi", "dwi")
    notes += check_volumes(series, mask, name)
    fitted = adc_from_series(series, mask)
    notes += choose_volumes(series.bvals, series.bvecs).notes
    notes += check_fitted(median_of_brain(fitted, mask), name)
    return resample_to(fitted, mask.affine, mask.shape, name="ADC")


def _covered(
    aligned: dict[str, nib.Nifti1Image], mask: nib.Nifti1Image, notes: list[str]
) -> nib.Nifti1Image:
    """Return the part of the brain that every contrast covers.

    Outside it the model may still look at a neighbour without a value; it then sees 0, as a
    scanner's own ADC map has in air.
    """
    inside = inside_of(mask)
    covered = inside.copy()
    for kind in CONTRASTS:
        values = np.asarray(aligned[kind].dataobj)
        known = np.isfinite(values)
        share = float(known[inside].mean())
        if share < COVERED:
            notes.append(f"{kind} covers {100 * share:.0f} % of the brain")
        covered &= known
        aligned[kind] = nib.Nifti1Image(np.nan_to_num(values, nan=0.0), aligned[kind].affine)
    if not covered.any():
        found = "no voxel of the brain that all contrasts cover"
        raise DatasetError(
            Problem("brain mask", found, "contrasts of one head", "check that the images belong")
        )
    return mask_image(covered, mask)


def _voxel_ml(image: nib.Nifti1Image) -> float:
    return float(abs(np.linalg.det(image.affine[:3, :3]))) / 1000
