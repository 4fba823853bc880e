"""One patient's images -> all maps: ADC, rCBV and the cellularity prediction map.

All are on the reference grid (`cpmlib.mri.volume`), in voxels of the model's size.

Vocabulary
----------
- *map*: CPM in cells/mm2, ADC in 1e-6 mm2/s, rCBV relative to normal-appearing white matter.
- *provided map*: one made by the study itself; used as it is, if its unit is right.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

import nibabel as nib
import numpy as np

from cpmlib.mri.adc import adc_in_units, fitted_adc
from cpmlib.mri.bias_field import correct_bias_field
from cpmlib.mri.brain_mask import check_mask, find_brain
from cpmlib.mri.checks import (
    check_contrasts,
    check_different,
    check_inputs,
    check_provided,
    median_of_brain,
)
from cpmlib.mri.images import CONTRASTS
from cpmlib.mri.patient import PatientImages
from cpmlib.mri.rcbv import PerfusionFit, rcbv_from_series
from cpmlib.mri.registration import AlignmentReport, align
from cpmlib.mri.volume import (
    Volume,
    as_volume,
    padding,
    reference_grid,
    without_background,
    without_padding,
)
from cpmlib.study.errors import Problem, collected, fault, told_together
from cpmlib.study.names import SERIES
from cpmlib.study.options import ImageOptions

if TYPE_CHECKING:
    from cpmlib.cpm.model_file import CpmModel
    from cpmlib.cpm.predict import CpmResult

REGISTER: Mapping[str, bool | Literal["auto"]] = {"auto": "auto", "always": True, "never": False}
ANATOMY = ("T1wGd", "T1w")
"""Kinds of which the first that is there defines the reference grid."""
MAPS = ("CPM", "ADC", "rCBV")
PROVIDED = "map of the study"
MIN_COVERED = 0.98
"""Share of the brain that a contrast must cover for no note to be made."""


@dataclass(frozen=True)
class PatientMaps:
    """What was made of a patient's images; only what there is.

    ``maps`` hold ``"CPM"``, ``"ADC"``, ``"rCBV"``, ``"mask"`` and what else was made, ``contrasts``
    what the model saw, on the reference grid, ``quality`` numbers for quality control by name, and
    ``origins`` where CPM, ADC and rCBV came from, in words.
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
    images: PatientImages, model: CpmModel | None, options: ImageOptions | None = None
) -> PatientMaps:
    """Make every map that a patient's images allow; what a study provides is used as it is.

    A cellularity map is predicted only if all contrasts and a model are there. Raises DatasetError
    if images cannot be used together, a unit is not clear, or a fit is not possible; what the
    images themselves show to be wrong is told at once.
    """
    patient = _Patient(images, model, options or ImageOptions())
    with told_together() as problems:
        with collected(problems):
            check_different(images.volumes, images.names)
        if images.kinds.isdisjoint(ANATOMY):
            patient.take_finished_maps(problems)
            return patient.results()
        patient.align()
        patient.find_brain()
        with collected(problems):
            patient.add_adc()
        with collected(problems):
            patient.notes += check_contrasts(patient.contrasts, patient.mask, images.names)
        patient.check_provided(problems)
    patient.add_cpm()
    patient.add_rcbv()
    return patient.results()


class _Patient:
    """A patient on the way from images to maps.

    ``native`` has each kind's `Volume` in its own grid, of a series what shows the head best;
    ``contrasts`` have those of the model on the reference grid.
    """

    def __init__(
        self, images: PatientImages, model: CpmModel | None, options: ImageOptions
    ) -> None:
        self.images, self.model, self.options = images, model, options
        self.diffusion, self.perfusion = images.diffusion, images.perfusion
        self.notes = [*images.notes]
        self.native: dict[str, Volume] = {}
        self.contrasts: dict[str, Volume] = {}
        self.maps: dict[str, nib.Nifti1Image] = {}
        self.quality: dict[str, float] = {}
        self.alignment: AlignmentReport | None = None
        self.cellularity: CpmResult | None = None
        self.fit: PerfusionFit | None = None

    def read(self, kinds: Mapping[str, nib.Nifti1Image]) -> None:
        """Check images against each other and take their volumes."""
        self.notes += check_inputs(kinds, self.images.names)
        names = self.images.names
        self.native = {
            kind: as_volume(image, names.get(kind, kind)) for kind, image in kinds.items()
        }

    def align(self) -> None:
        """Bring the contrasts to the reference grid; registration moves series and maps."""
        self.read(self.images.heads)
        fixed = next(kind for kind in ANATOMY if kind in self.native)
        size = self.model.card.voxel_size if self.model and self.images.can_predict else None
        self.reference = self.native[fixed].resampled(reference_grid(self.native[fixed], size))
        given = self.native.get("mask")
        if given is not None:
            check_mask(given, self.reference)
        moving = {k: v for k, v in self.native.items() if k in (*CONTRASTS, *SERIES)}
        register = REGISTER[self.options.registration]
        aligned, report = align(moving, self.reference, register, given, stay=(fixed,))
        self.contrasts = {kind: aligned[kind] for kind in aligned if kind in CONTRASTS}
        for kind in report.registered:
            matrix = report.transforms[kind].matrix
            self.native[kind] = self.native[kind].moved(matrix)
            if kind == "dwi" and self.diffusion:
                self.diffusion = self.diffusion.moved(matrix)
            if kind == "dsc" and self.perfusion:
                self.perfusion = self.perfusion.moved(matrix)
        self.alignment = report
        self.notes += report.moves

    def find_brain(self) -> None:
        """Find the brain, and free the contrasts in it of what is no signal."""
        if "mask" in self.native:
            own = self.native["mask"].resampled(self.reference.grid, "nearest")
            self.mask = replace(own, data=own.inside)
        else:
            found, notes = find_brain(self.contrasts.get("T1w", self.reference))
            self.mask = as_volume(found, "mask")
            self.notes += notes
        self.maps["mask"] = self.mask.to_image()
        self.quality["brain_ml"] = self.mask.ml
        for kind, volume in self.contrasts.items():
            self.contrasts[kind] = self._without_fill(kind, volume)
            if self.options.bias_correction and kind != "ADC":
                corrected = correct_bias_field(self.contrasts[kind], self.mask)
                self.contrasts[kind] = as_volume(corrected, volume.name)

    def _without_fill(self, kind: str, aligned: Volume) -> Volume:
        """Read a contrast again in which 0 stands for no value, so that no 0 is interpolated.

        That is the ADC, and others where zeros around them reach into the brain.
        """
        zeros = self.mask.inside & (aligned.data == 0)
        if kind == "ADC":
            native = without_background(self.native[kind])
        # To find out whether they lie within the tissue takes longer.
        elif zeros.any() and (zeros & padding(aligned.data)).any():
            native = without_padding(self.native[kind])
        else:
            return aligned
        return native.resampled(self.mask.grid)

    def add_adc(self) -> None:
        """Bring the ADC that is there to 1e-6 mm2/s, or make it from the series."""
        provided = self.contrasts.pop("ADC", None)
        if provided is not None:
            adc, notes = adc_in_units(provided, self.mask)
        elif self.diffusion:
            adc, notes = fitted_adc(self.diffusion, self.mask, self.native["dwi"].name)
        else:
            return
        self.notes += notes
        self.contrasts["ADC"], self.maps["ADC"] = adc, adc.to_image()

    def check_provided(self, problems: list[Problem]) -> None:
        """Check the finished maps that the study provides against their units."""
        for kind in ("CPM", "rCBV"):
            if kind in self.native:
                with collected(problems):
                    volume, notes = check_provided(kind, self.native[kind], self.mask)
                    self.maps[kind] = volume.to_image()
                    self.notes += notes

    def add_cpm(self) -> None:
        """Predict the cellularity map in the part of the brain that every contrast covers."""
        if self.model is None or "CPM" in self.maps or not self.images.can_predict:
            return
        from cpmlib.cpm.predict import cellularity_map

        self._leave_uncovered()
        how = self.options.cpm_normalise
        result = cellularity_map(self.model, self.contrasts, self.mask, how)
        self.cellularity = result
        self.notes += result.warnings
        self.maps |= {"CPM": result.image, "extrapolation": result.extrapolation}
        self.quality["raw_sd"] = result.raw_sd
        for kind, share in result.extrapolation_share.items():
            self.quality[f"extrapolation_{kind}"] = share

    def _leave_uncovered(self) -> None:
        """Take out of the mask what a contrast does not cover.

        Outside it the model may still look at a neighbour without a value; it then sees 0, as a
        scanner's own ADC map has in air.
        """
        inside = self.mask.inside
        covered = inside.copy()
        for kind in CONTRASTS:
            values = self.contrasts[kind].data
            known = ~np.isnan(values)
            share = float(known[inside].mean())
            if share < MIN_COVERED:
                self.notes.append(f"{kind} covers {100 * share:.0f} % of the brain")
            covered &= known
            self.contrasts[kind] = replace(self.contrasts[kind], data=np.nan_to_num(values))
        if not covered.any():
            found = "no voxel of the brain that all contrasts cover"
            remedy = "check that the images belong"
            raise fault("brain mask", found, "contrasts of one head", remedy)
        self.mask = replace(self.mask, data=covered)
        self.maps["mask"] = self.mask.to_image()

    def add_rcbv(self) -> None:
        """Fit the perfusion series."""
        if not self.perfusion or "rCBV" in self.maps:
            return
        name, options = self.native["dsc"].name, self.options
        fit, notes = rcbv_from_series(self.perfusion, self.contrasts, self.mask, options, name)
        self.maps |= {"rCBV": fit.rcbv, "rCBV_fit": fit.r2}
        self.maps["rCBV_uncorrected"] = fit.rcbv_uncorrected
        self.fit = fit
        self.notes += notes
        self.quality |= fit.quality

    def take_finished_maps(self, problems: list[Problem]) -> None:
        """Take finished maps as they are; say what cannot be used without a T1-weighted image."""
        volumes = self.images.volumes
        self.read({kind: volumes[kind] for kind in (*MAPS, "mask") if kind in volumes})
        for kind in (*CONTRASTS, *SERIES):
            if kind in self.images.kinds and kind not in self.native:
                why = "not used; no T1-weighted image shows where the brain is"
                self.notes.append(f"{self.images.names.get(kind, kind)}: {why}")
        if not self.native:
            return
        first = next(iter(self.native.values()))
        if "mask" in self.native:
            self.mask = self.native["mask"]
            check_mask(self.mask, first)
        else:
            self.mask = replace(first, data=~padding(first.data), name="mask")
            around = f"the zeros around {first.name}"
            self.notes.append(f"no brain mask: the brain is what {around} enclose")
        self.maps["mask"] = self.mask.to_image()
        if "ADC" in self.native:
            with collected(problems):
                adc = without_background(self.native["ADC"])
                brain = self.mask.resampled(adc.grid, "nearest")
                adc, notes = adc_in_units(adc, brain)
                self.maps["ADC"] = adc.to_image()
                self.notes += notes
        self.check_provided(problems)

    def results(self) -> PatientMaps:
        """Return what was made, the brain's median of each map, and where it came from."""
        origins = {"ADC": "diffusion series", "rCBV": "perfusion series"}
        if self.model is not None:
            origins["CPM"] = f"predicted by: {self.model.card.label}"
        origins |= dict.fromkeys(self.images.volumes, PROVIDED)
        kinds = [kind for kind in MAPS if kind in self.maps]
        for kind in kinds:
            median = median_of_brain(self.maps[kind], self.maps["mask"])
            self.quality[f"median_{kind}"] = median
        return PatientMaps(
            self.maps,
            {kind: volume.to_image() for kind, volume in self.contrasts.items()},
            tuple(self.notes),
            self.quality,
            self.cellularity,
            self.fit,
            self.alignment,
            {kind: origins[kind] for kind in kinds},
        )
