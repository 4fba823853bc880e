"""Rigid registration of a patient's contrasts, and all contrasts on one grid.

The images of one examination usually share scanner space and need no registration, only
resampling; images of several examinations, or a patient who moved, do.

Vocabulary
----------
- *fixed*, *moving*: the image that stays, and the one that is brought to it.
- *rigid transform*: 4 x 4 matrix of a rotation and a translation, from the moving image's world to
  the fixed image's world (mm, RAS+): a point p of the moving image lies at ``matrix @ p``.
- *NMI*: normalised mutual information (H(A) + H(B)) / H(A, B), between 1 (nothing in common) and 2.

References
----------
Mattes D et al. (2003) IEEE Trans Med Imaging 22:120 (the metric); Studholme C et al. (1999)
Pattern Recognition 32:71 (NMI); Lowekamp BC et al. (2013) Front Neuroinform 7:45 (SimpleITK).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import nibabel as nib
import numpy as np
import pandas as pd
from scipy.spatial.transform import Rotation
from skimage.metrics import normalized_mutual_information

from cpmlib.mri.grid import make_image, resample_to, volume
from cpmlib.mri.rigid_search import BINS, Sampled, descend, euler, matrix_of, search
from cpmlib.study.errors import DatasetError, Problem

FINE, COARSE = 2.0, 4.0
"""Voxel sizes at which a registration ends and at which a check ends, mm."""

MOVED = 2.0
"""Mean displacement over the brain up to which "auto" trusts the headers, mm: about one voxel."""

GAIN = 0.10
"""Relative rise of NMI - 1 from which "auto" registers."""

FAR = 10.0
"""A contrast that a registration moved further than this is to be looked at, mm (mean over the
brain). Between two examinations a head lies a few mm elsewhere, in one it seldom moves so far."""


@dataclass(frozen=True, eq=False)
class RigidTransform:
    """Where a moving image belongs.

    Parameters
    ----------
    matrix : (4, 4)
        From the moving image's world to the fixed image's world, mm, RAS+.
    metric_before, metric_after : float
        NMI of both images without and with the transform, over the voxels in and 6 mm around the
        fixed image's mask at which the moving image has a value in either case.
    rotation_deg : float
        Angle of the rotation about its own axis.
    translation_mm : float
        How far the centre of the fixed image's mask moves.
    displacement_mm : float
        Mean distance that the voxels of the mask move.
    """

    matrix: np.ndarray
    metric_before: float
    metric_after: float
    rotation_deg: float
    translation_mm: float
    displacement_mm: float

    @property
    def is_identity(self) -> bool:
        """Whether nothing is moved: no transform was found that is better than the headers."""
        return bool((self.matrix == np.eye(4)).all())

    @property
    def gain(self) -> float:
        """Relative rise of NMI - 1; infinite if the images had nothing in common before."""
        before = self.metric_before - 1
        return (self.metric_after - 1) / before - 1 if before > 0 else np.inf


@dataclass(frozen=True, eq=False)
class AlignmentReport:
    """What was done to bring each contrast to the reference.

    Parameters
    ----------
    transforms
        For each contrast that was examined, the transform that was found.
    registered
        The contrasts to which their transform was applied.
    coverage
        Share of the reference's mask, or else of its head (the voxels brighter than its mean), that
        each contrast covers.
    """

    transforms: dict[str, RigidTransform] = field(default_factory=dict)
    registered: tuple[str, ...] = ()
    coverage: dict[str, float] = field(default_factory=dict)

    @property
    def far(self) -> tuple[str, ...]:
        """The contrasts that were moved by more than 10 mm on average."""
        return tuple(k for k in self.registered if self.transforms[k].displacement_mm > FAR)

    @property
    def kept(self) -> tuple[str, ...]:
        """The contrasts that were searched in full, and for which nothing better was found."""
        return tuple(k for k, found in self.transforms.items() if found.is_identity)

    @property
    def moves(self) -> list[str]:
        """What its owner should know of the registrations, a sentence a contrast."""
        said = []
        for contrast, found in self.transforms.items():
            if contrast in self.kept:
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
                    " figure of quality control, and check that the image is of this patient and"
                    " its header intact"
                )
        return said

    def table(self) -> pd.DataFrame:
        """Return one row a contrast; what was not measured is NaN.

        Examples
        --------
        >>> AlignmentReport(coverage={"FLAIR": 1.0}).table()["registered"].tolist()
        [False]
        """
        rows = []
        for contrast, covered in self.coverage.items():
            found = self.transforms.get(contrast)
            rows.append(
                {
                    "contrast": contrast,
                    "registered": contrast in self.registered,
                    "coverage": covered,
                    "nmi_before": found.metric_before if found else np.nan,
                    "nmi_after": found.metric_after if found else np.nan,
                    "rotation_deg": found.rotation_deg if found else np.nan,
                    "translation_mm": found.translation_mm if found else np.nan,
                    "displacement_mm": found.displacement_mm if found else np.nan,
                }
            )
        return pd.DataFrame(rows)


def register_rigid(
    moving: nib.Nifti1Image,
    fixed: nib.Nifti1Image,
    mask: nib.Nifti1Image | None = None,
    *,
    voxel_size: float = FINE,
    name: str = "the moving image",
) -> RigidTransform:
    """Find the rotation and translation that bring an image to another.

    SimpleITK maximises Mattes' mutual information with regular-step gradient descent at 8, 4 and
    2 mm, on one thread and with a fixed seed. At 8 mm it starts from the headers and from equal
    centres of gravity, each as it is and turned by 20 degrees to either side about each axis; the
    start that ends with the most mutual information is followed. If its end is no better than the
    headers by NMI, the search is repeated from the headers alone; if that is no better either, the
    headers are kept.

    Parameters
    ----------
    moving, fixed
        3-D images in any orientation, of the same or of different contrast.
    mask
        Where in the fixed image the metric is computed, best the brain; 6 mm around it are used as
        well. None takes every voxel of the fixed image with a value.
    voxel_size
        At which the search ends, mm; the result is finer than that.
    name
        What to call the moving image in a message.

    Returns
    -------
    RigidTransform

    Raises
    ------
    DatasetError
        If an image is not 3-D or constant, or both have no part in common.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> coarse = make_image(rng.normal(size=(8, 8, 8)).astype(np.float32), np.diag([8.0, 8, 8, 1]))
    >>> fixed = resample_to(coarse, np.diag([2.0, 2, 2, 1]), (29, 29, 29))
    >>> shifted = fixed.affine.copy()
    >>> shifted[:3, 3] += [3, 0, -2]
    >>> found = register_rigid(make_image(fixed.get_fdata(), shifted), fixed)
    >>> found.matrix[:3, 3].round().astype(int).tolist()
    [-3, 0, 2]
    """
    sizes = sorted({max(COARSE, voxel_size), voxel_size}, reverse=True)
    levels = [
        (Sampled.of(fixed, size, mask, "the fixed image"), Sampled.of(moving, size, None, name))
        for size in sizes
    ]
    target = levels[-1][0]
    found = None
    for first in (
        lambda: search(moving, fixed, mask, name),
        lambda: euler(np.zeros(3), np.zeros(3), target.points().mean(axis=0)),
    ):
        try:
            transform = first()
            for fine, source in levels:
                descend(transform, fine, source)
        except RuntimeError as error:  # no overlap
            failure = error
            continue
        found = _describe(np.linalg.inv(matrix_of(transform)), moving, target)
        if found.metric_after > found.metric_before:
            return found
    if found is not None:
        return _describe(np.eye(4), moving, target)
    raise DatasetError(
        Problem(
            name,
            "no overlap with the image that it should be brought to",
            "two images of the same head",
            "check that both are of the same patient and that their headers are intact",
        )
    ) from failure


def apply_rigid(image: nib.Nifti1Image, transform: RigidTransform) -> nib.Nifti1Image:
    """Move an image by changing its affine; no value is interpolated.

    Parameters
    ----------
    image
        The moving image, or another in its space.
    transform
        As `register_rigid` returns it.

    Returns
    -------
    nibabel.Nifti1Image
        The same values, now in the fixed image's world.

    Examples
    --------
    >>> matrix = np.eye(4)
    >>> matrix[0, 3] = 5
    >>> moved = RigidTransform(matrix, 1, 1, 0, 5, 5)
    >>> image = make_image(np.zeros((2, 2, 2), np.float32), np.eye(4))
    >>> apply_rigid(image, moved).affine[:3, 3]
    array([5., 0., 0.])
    """
    return make_image(np.asarray(image.dataobj), transform.matrix @ image.affine)


def align(
    images: Mapping[str, nib.Nifti1Image],
    reference: nib.Nifti1Image,
    register: bool | Literal["auto"] = "auto",
    mask: nib.Nifti1Image | None = None,
    *,
    stay: Sequence[str] = ("T1wGd",),
) -> tuple[dict[str, nib.Nifti1Image], AlignmentReport]:
    """Bring all contrasts to the reference's grid.

    Resampling is always done, and once: a registration only changes the affine before it. With
    ``"auto"`` a quick descent from the headers at 4 mm is the check. If it ends within 2 mm of
    them (mean over the brain), the headers are trusted, since a needless registration adds its own
    error to each target. Otherwise the contrast is registered in full, and moved if that raises
    NMI - 1 by more than a tenth.

    Parameters
    ----------
    images
        Contrast name -> 3-D image in its own grid.
    reference
        T1wGd on the reference grid.
    register
        True, False or ``"auto"``.
    mask
        Brain mask in the reference's world; with it, skin, jaw and neck cannot mislead.
    stay
        Contrasts that define the reference's world and are never moved.

    Returns
    -------
    aligned
        Contrast name -> float32 image on the reference's grid, NaN outside its field of view.
    report : AlignmentReport

    Raises
    ------
    DatasetError
        As `resample_to` and `register_rigid` do.
    ValueError
        If `register` is none of the three.

    Examples
    --------
    >>> image = make_image(np.ones((4, 4, 4), np.float32), np.eye(4))
    >>> aligned, report = align({"FLAIR": image}, image, register=False)
    >>> report.coverage
    {'FLAIR': 1.0}
    """
    if register not in (True, False, "auto"):
        raise ValueError(f"register is {register!r}; expected True, False or 'auto'")
    data = volume(reference, "the reference")
    inside = data > np.nanmean(data)  # bright enough to be head, not air
    if not inside.any():
        inside = ~np.isnan(data)
    if mask is not None:
        own = resample_to(mask, reference.affine, reference.shape, "nearest", "the mask")
        inside = np.asarray(own.dataobj) > 0.5
    aligned, coverage, transforms, registered = {}, {}, {}, []
    for contrast, image in images.items():
        if register and contrast not in stay:
            found = None if register is True else _stays(image, reference, mask, contrast)
            if found is None:
                found = register_rigid(image, reference, mask, name=contrast)
                if not found.is_identity and (register is True or found.gain > GAIN):
                    image = apply_rigid(image, found)
                    registered.append(contrast)
            transforms[contrast] = found
        aligned[contrast] = resample_to(image, reference.affine, reference.shape, name=contrast)
        covered = ~np.isnan(np.asarray(aligned[contrast].dataobj)[inside])
        coverage[contrast] = float(covered.mean()) if covered.size else 0.0
    return aligned, AlignmentReport(transforms, tuple(registered), coverage)


def _stays(
    image: nib.Nifti1Image,
    reference: nib.Nifti1Image,
    mask: nib.Nifti1Image | None,
    contrast: str,
) -> RigidTransform | None:
    """Return the small transform that a quick check found, or None if it is not small."""
    target = Sampled.of(reference, COARSE, mask, "the reference")
    start = euler(np.zeros(3), np.zeros(3), target.points().mean(axis=0))
    try:
        descend(start, target, Sampled.of(image, COARSE, None, contrast))
    except RuntimeError:  # no overlap where the headers put it
        return None
    found = _describe(np.linalg.inv(matrix_of(start)), image, target)
    return found if found.displacement_mm <= MOVED else None


def _describe(matrix: np.ndarray, moving: nib.Nifti1Image, target: Sampled) -> RigidTransform:
    points = target.points()
    distance = points - nib.affines.apply_affine(matrix, points)
    centre = points.mean(axis=0)
    before, after = _read(moving, np.eye(4), target), _read(moving, matrix, target)
    # The same voxels for both: one that moves out of sight must not drop out of the comparison.
    seen = target.inside & ~(np.isnan(before) & np.isnan(after))
    return RigidTransform(
        matrix=matrix,
        metric_before=_nmi(target.data[seen], before[seen]),
        metric_after=_nmi(target.data[seen], after[seen]),
        rotation_deg=float(np.degrees(Rotation.from_matrix(matrix[:3, :3]).magnitude())),
        translation_mm=float(np.linalg.norm(centre - nib.affines.apply_affine(matrix, centre))),
        displacement_mm=float(np.linalg.norm(distance, axis=1).mean()),
    )


def _read(moving: nib.Nifti1Image, matrix: np.ndarray, target: Sampled) -> np.ndarray:
    moved = make_image(np.asarray(moving.dataobj), matrix @ moving.affine)
    return volume(resample_to(moved, target.affine, target.data.shape))


def _nmi(a: np.ndarray, b: np.ndarray) -> float:
    """Return NMI of two lists of values; no value counts as the lowest; 1 without overlap."""
    known = b[~np.isnan(b)]
    if len(known) < BINS:
        return 1.0
    low, high = np.percentile(known, [0.1, 99.5])
    b = np.clip(np.nan_to_num(b, nan=low), low, high)
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return 1.0
    return float(normalized_mutual_information(a, b, bins=BINS))
