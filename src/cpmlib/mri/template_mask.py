"""The brain mask of the MNI152 template, brought to a head by affine registration.

Where slices are thick, partial volume joins the brain to scalp, orbit and neck, and a mask that is
grown on the image runs over. The template knows the brain's shape, and its border within some mm.

References
----------
Fonov V et al. (2011) NeuroImage 54:313 (the template); Mattes D et al. (2003) IEEE Trans Med
Imaging 22:120 (the metric).
"""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np
from nibabel.affines import apply_affine
from scipy import ndimage

from cpmlib.mri.multiresolution import COARSEST, TURN, Level, matrix_of, optimise
from cpmlib.mri.registration import COARSE
from cpmlib.mri.volume import WORKING_VOXEL, Image, Volume, as_volume, make_image

if TYPE_CHECKING:
    import SimpleITK as sitk  # noqa: N813 (its usual name)

FILE = "datasets/data/mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz"
"""The template, without its skull, in nilearn's wheel."""

START_SCALE = 0.87
"""Scale at which the registration starts: most brains are smaller than the template's 1,880 ml
(this makes 1,240 of it), and a template that starts too large ends on the skull."""

BRAIN = 0.2
"""The template's brain is brighter than this share of its brightest voxels."""

BELOW_THE_SKIN = 10.0
"""Skin and skull above the brain's highest point, mm."""

MIN_INFORMATION = 0.6
"""Mutual information (nats) of a registration that found the brain: real heads gave 0.7 and more,
failures 0.5 and less."""

MIN_SEEN = 0.5
"""Share of the template's brain in the head's field of view."""

MAX_SCALE = 1.4
"""No brain is longer or shorter than the template's by more than this factor along any axis."""


def template_mask(t1: Image, name: str = "T1w", *, quick: bool = False) -> nib.Nifti1Image | None:
    """Bring the template's brain mask to a head with its skull, called `name` in messages.

    With `quick`, only the place of the header is tried: good enough to check another mask. The
    registration ends at 4 mm; finer voxels hardly move the mask. Returns uint8, on the grid of
    `t1`; None if no registration is good enough.

    Examples
    --------
    >>> noise = np.random.default_rng(0).normal(size=(30, 30, 30))
    >>> template_mask(Volume(noise, np.diag([6.0, 6, 6, 1]))) is None
    True
    """
    head = as_volume(t1, name)
    target, source = _template_at(COARSE), Level.of(head, COARSE)
    shifts = [np.zeros(3)] if quick else _shifts(target, source)
    starts = [_start(target, shift, START_SCALE) for shift in shifts]
    if not quick:
        starts.append(_best_start(_template_at(COARSEST), Level.of(head, COARSEST)))
    ends = [(_information(start, target, source), start) for start in starts]
    fit, transform = max(ends, key=lambda end: end[0])
    if fit < MIN_INFORMATION:
        return None
    moved = _template()[1].moved(matrix_of(transform)).resampled(head.grid)
    return make_image(moved.inside.astype(np.uint8), head.affine)


@cache
def _template() -> tuple[Volume, Volume]:
    """Return the template and its brain mask, 2 mm."""
    # Read as a file, because importing nilearn takes seconds.
    spec = find_spec("nilearn")
    assert spec is not None
    assert spec.origin is not None
    whole = nib.load(Path(spec.origin).parent / FILE)
    assert isinstance(whole, nib.Nifti1Image)
    step = int(WORKING_VOXEL)
    data = np.asarray(whole.dataobj, dtype=np.float32)[::step, ::step, ::step]
    affine = whole.affine @ np.diag([step, step, step, 1])
    brain = ndimage.binary_opening(data > BRAIN * np.percentile(data, 99.5))
    mask = ndimage.binary_fill_holes(brain)
    return Volume(data, affine, "the template"), Volume(mask, affine, "the mask")


@cache
def _template_at(size: float) -> Level:
    image, mask = _template()
    return Level.of(image, size, mask)


def _start(
    target: Level, shift: np.ndarray, scale: float, turn: float = 0.0
) -> sitk.AffineTransform:
    import SimpleITK as sitk  # noqa: N813 (its usual name)

    start = sitk.AffineTransform(3)
    start.SetCenter(target.centre.tolist())
    start.SetTranslation(shift.tolist())
    start.Rotate(1, 2, np.radians(turn))
    start.Scale(scale)
    return start


def _best_start(target: Level, source: Level) -> sitk.AffineTransform:
    """Optimise from many places, with and without a turn or a scale."""
    poses = product((0, -TURN, TURN), _shifts(target, source), (1.0, START_SCALE))
    starts = [_start(target, shift, scale, turn) for turn, shift, scale in poses]
    return max(starts, key=lambda start: _information(start, target, source))


def _shifts(template: Level, head: Level) -> list[np.ndarray]:
    """Return places of the brain: as the header says, in the middle, below the top."""
    from skimage.filters import threshold_otsu

    centre, top = template.centre, template.points[:, 2].max()
    affine = head.grid.affine
    middle = apply_affine(affine, (np.array(head.data.shape) - 1) / 2)
    skin = apply_affine(affine, np.argwhere(head.data > 0.5 * threshold_otsu(head.data)))
    highest = float(np.percentile(skin[:, 2], 99.5))
    upper = skin[skin[:, 2] > highest - np.ptp(template.points[:, 2])].mean(axis=0)
    below = np.array([*(upper - centre)[:2], highest - BELOW_THE_SKIN - top])
    return [np.zeros(3), middle - centre, below]


def _information(transform: sitk.AffineTransform, target: Level, source: Level) -> float:
    """Improve a transform in place and return the mutual information; 0 if it fits no head."""
    try:
        value = -optimise(transform, target, source)
    except RuntimeError:  # no overlap
        return 0.0
    matrix = matrix_of(transform)
    scales = np.linalg.svd(matrix[:3, :3], compute_uv=False)
    sensible = scales.min() > 1 / MAX_SCALE and scales.max() < MAX_SCALE
    return value if sensible and source.overlap(matrix, target) > MIN_SEEN else 0.0
