"""Rigid registration of a patient's contrasts, and all contrasts on one grid.

The images of one examination usually share scanner space and need no registration, only
resampling; images of several examinations, or a patient who moved, do.

Vocabulary
----------
- *rigid transform*: 4 x 4 matrix of a rotation and a translation, from the moving image's world to
  the fixed image's world (mm, RAS+): a point p of the moving image lies at ``matrix @ p``.
- *NMI*: normalised mutual information (H(A) + H(B)) / H(A, B), between 1 (nothing in common) and 2.

References
----------
Studholme C et al. (1999) Pattern Recognition 32:71 (NMI).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Literal

import numpy as np
import pandas as pd
from nibabel.affines import apply_affine
from scipy.special import entr

from cpmlib.mri.multiresolution import (
    BINS,
    Level,
    best_start,
    euler_transform,
    matrix_of,
    optimise,
)
from cpmlib.mri.volume import Image, Volume, as_volume
from cpmlib.study.errors import fault

COARSE, FINE = 4.0, 2.0
"""Voxel sizes of the levels after the coarsest, mm; a check of the headers ends at the first."""

MOVED = 2.0
"""Mean displacement over the brain up to which "auto" trusts the headers, mm: about one voxel."""

MIN_GAIN = 0.10
"""Relative rise of NMI - 1 from which "auto" registers."""

FAR = 10.0
"""A contrast that a registration moved further than this is to be looked at, mm (mean over the
brain). Between two examinations a head lies a few mm elsewhere, in one it seldom moves so far."""


@dataclass(frozen=True, eq=False)
class RigidTransform:
    """Where a moving image belongs.

    NMI before and after is that in and 6 mm around the fixed image's mask, over the voxels at which
    the moving image has a value in either case. The rotation is about its own axis, the translation
    that of the mask's centre, the displacement the mean over the mask's voxels.
    """

    matrix: np.ndarray
    nmi_before: float
    nmi_after: float
    rotation_deg: float
    translation_mm: float
    displacement_mm: float

    @property
    def is_identity(self) -> bool:
        """Whether no transform was found that is better than the headers."""
        return bool((self.matrix == np.eye(4)).all())

    @property
    def gain(self) -> float:
        """Relative rise of NMI - 1; infinite if the images had nothing in common before."""
        before = self.nmi_before - 1
        return (self.nmi_after - 1) / before - 1 if before > 0 else np.inf


@dataclass(frozen=True, eq=False)
class AlignmentReport:
    """What was done to bring each contrast to the reference.

    A transform was found for each contrast that was examined, and applied to those registered. The
    coverage is that of the reference's mask, or else of its voxels brighter than its mean.
    """

    transforms: dict[str, RigidTransform] = field(default_factory=dict)
    registered: tuple[str, ...] = ()
    coverage: dict[str, float] = field(default_factory=dict)

    @property
    def far(self) -> tuple[str, ...]:
        """The contrasts that were moved by more than `FAR`."""
        return tuple(c for c in self.registered if self.transforms[c].displacement_mm > FAR)

    @property
    def moves(self) -> list[str]:
        """What its owner should know of the registrations, a sentence a contrast."""
        said = []
        for contrast, found in self.transforms.items():
            if found.is_identity:
                said.append(
                    f"{contrast}: no registration was better than the headers, which were kept;"
                    " check that it lies on the reference"
                )
            if contrast in self.registered:
                said.append(
                    f"{contrast} was registered: {found.rotation_deg:.1f} degrees,"
                    f" {found.translation_mm:.1f} mm; on average {found.displacement_mm:.1f} mm"
                )
                if contrast in self.far:
                    said[-1] += (
                        f", more than {FAR:.0f} mm: compare it with the outline of the brain in the"
                        " figure of quality control, and check that the image is of this patient"
                        " and its header intact"
                    )
        return said

    def table(self) -> pd.DataFrame:
        """Return one row a contrast; what was not measured is NaN.

        Examples
        --------
        >>> AlignmentReport(coverage={"FLAIR": 1.0}).table()["registered"].tolist()
        [False]
        """
        measured = [f.name for f in fields(RigidTransform) if f.name != "matrix"]
        rows = []
        for contrast, covered in self.coverage.items():
            row = {"contrast": contrast, "registered": contrast in self.registered}
            found = self.transforms.get(contrast)
            values = {name: getattr(found, name, np.nan) for name in measured}
            rows.append({**row, "coverage": covered, **values})
        return pd.DataFrame(rows)


def register_rigid(
    moving: Image, fixed: Image, mask: Image | None = None, *, name: str = "the moving image"
) -> RigidTransform:
    """Find the rotation and translation that bring an image, called `name`, to another.

    SimpleITK maximises Mattes' mutual information with regular-step gradient descent at 8, 4 and
    2 mm, on one thread and with a fixed seed. At 8 mm it starts from the headers and from equal
    centres of mass, each as it is and turned by 20 degrees to either side about each axis; the
    best end is refined. If that is no better than the headers by NMI, the same is done from the
    headers alone; if that is no better either, the headers are kept.

    The metric is computed in the fixed image's mask, best the brain, and 6 mm around it; without
    one, at every voxel with a value.

    Raises
    ------
    DatasetError
        If an image is not 3-D or constant, or both have no part in common.

    Examples
    --------
    >>> from cpmlib.mri.volume import Grid
    >>> rng = np.random.default_rng(0)
    >>> coarse = Volume(rng.normal(size=(8, 8, 8)), np.diag([8.0, 8, 8, 1]))
    >>> fixed = coarse.resampled(Grid(np.diag([2.0, 2, 2, 1]), (29, 29, 29)))
    >>> shift = np.eye(4)
    >>> shift[:3, 3] = [3, 0, -2]
    >>> register_rigid(fixed.moved(shift), fixed).matrix[:3, 3].round().astype(int).tolist()
    [-3, 0, 2]
    """
    moving, fixed = as_volume(moving, name), as_volume(fixed, "the fixed image")
    mask = None if mask is None else as_volume(mask, "the mask")
    levels = [(Level.of(fixed, size, mask), Level.of(moving, size)) for size in (COARSE, FINE)]
    target = levels[-1][0]
    found = None
    for several_starts in (True, False):
        try:
            from_headers = euler_transform(target.centre.tolist())
            transform = best_start(moving, fixed, mask) if several_starts else from_headers
            for level in levels:
                optimise(transform, *level)
        except RuntimeError:  # no overlap
            continue
        found = _describe(np.linalg.inv(matrix_of(transform)), moving, target)
        if found.nmi_after > found.nmi_before:
            return found
    if found is not None:
        return _describe(np.eye(4), moving, target)
    problem = "no overlap with the image that it should be brought to"
    remedy = "check that both are of the same patient and that their headers are intact"
    raise fault(moving.name, problem, "two images of the same head", remedy)


def align(
    images: Mapping[str, Image],
    reference: Image,
    register: bool | Literal["auto"] = "auto",
    mask: Image | None = None,
    *,
    stay: Sequence[str] = ("T1wGd",),
) -> tuple[dict[str, Volume], AlignmentReport]:
    """Bring all contrasts to the reference's grid; NaN outside their fields of view.

    Resampling is always done, and once: a registration only changes the affine before it. With
    ``"auto"`` a quick registration from the headers at 4 mm is the check. If it ends within 2 mm of
    them (mean over the brain), the headers are trusted, since a needless registration adds its own
    error to each target. Otherwise the contrast is registered in full, and moved if that raises
    NMI - 1 by more than a tenth.

    The reference is T1wGd on the reference grid; a brain mask in its world keeps skin, jaw and neck
    from misleading. Contrasts that `stay` define that world and are never moved.

    Examples
    --------
    >>> image = Volume(np.ones((4, 4, 4)), np.eye(4))
    >>> aligned, report = align({"FLAIR": image}, image, register=False)
    >>> report.coverage
    {'FLAIR': 1.0}
    """
    if register not in (True, False, "auto"):
        raise ValueError(f"register is {register!r}; expected True, False or 'auto'")
    reference = as_volume(reference, "the reference")
    mask = None if mask is None else as_volume(mask, "the mask")
    head = _head(reference, mask)
    examined = [contrast for contrast in images if register and contrast not in stay]
    target = Level.of(reference, COARSE, mask) if examined and register == "auto" else None
    aligned, coverage, transforms, registered = {}, {}, {}, []
    for contrast, image in images.items():
        volume = as_volume(image, contrast)
        if contrast in examined:
            found = None if target is None else _small_move(volume, target)
            if found is None:
                found = register_rigid(volume, reference, mask)
                if not found.is_identity and (register is True or found.gain > MIN_GAIN):
                    volume = volume.moved(found.matrix)
                    registered.append(contrast)
            transforms[contrast] = found
        volume = volume.resampled(reference.grid)
        aligned[contrast] = volume
        coverage[contrast] = float((~np.isnan(volume.data[head])).mean()) if head.any() else 0.0
    return aligned, AlignmentReport(transforms, tuple(registered), coverage)


def _head(reference: Volume, mask: Volume | None) -> np.ndarray:
    if mask is not None:
        return mask.resampled(reference.grid, "nearest").inside
    bright: np.ndarray = reference.data > np.nanmean(reference.data)
    return bright if bright.any() else ~np.isnan(reference.data)


def _small_move(moving: Volume, target: Level) -> RigidTransform | None:
    """Return the small transform that a quick check found, or None if it is not small."""
    transform = euler_transform(target.centre.tolist())
    try:
        optimise(transform, target, Level.of(moving, COARSE))
    except RuntimeError:  # no overlap where the headers put it
        return None
    found = _describe(np.linalg.inv(matrix_of(transform)), moving, target)
    return found if found.displacement_mm <= MOVED else None


def _describe(matrix: np.ndarray, moving: Volume, target: Level) -> RigidTransform:
    distance = target.points - apply_affine(matrix, target.points)
    before, after = (moving.moved(m).resampled(target.grid).data for m in (np.eye(4), matrix))
    # The same voxels for both: one that moves out of sight must not drop out of the comparison.
    seen = target.inside & ~(np.isnan(before) & np.isnan(after))
    centre = target.centre
    # The Frobenius norm of R - 1 is sqrt(8) sin(angle / 2), also where the angle is small.
    sine = min(np.linalg.norm(matrix[:3, :3] - np.eye(3)) / np.sqrt(8), 1.0)
    return RigidTransform(
        matrix=matrix,
        nmi_before=_nmi(target.data[seen], before[seen]),
        nmi_after=_nmi(target.data[seen], after[seen]),
        rotation_deg=float(np.degrees(2 * np.arcsin(sine))),
        translation_mm=float(np.linalg.norm(centre - apply_affine(matrix, centre))),
        displacement_mm=float(np.linalg.norm(distance, axis=1).mean()),
    )


def _nmi(a: np.ndarray, b: np.ndarray) -> float:
    """Return NMI of two lists of values; no value counts as the lowest; 1 without overlap."""
    known = b[~np.isnan(b)]
    if len(known) < BINS:
        return 1.0
    low, high = np.percentile(known, [0.1, 99.5])
    b = np.clip(np.nan_to_num(b, nan=low), low, high)
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return 1.0
    # Not scikit-image's, which takes as long to load (with scipy.stats) as a registration.
    joint = np.histogram2d(a, b, bins=BINS)[0] / len(a)
    one, other, both = (entr(p).sum() for p in (joint.sum(axis=1), joint.sum(axis=0), joint))
    return float((one + other) / both)
