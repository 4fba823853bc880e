"""The brain mask of the MNI152 template, brought to a head by affine registration.

Where slices are thick, partial volume joins the brain to scalp, orbit and neck, and a mask that is
grown on the image runs over. The template knows the brain's shape; what it does not know is this
brain's own border, to which it fits within some mm.

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
from scipy import ndimage

from cpmlib.mri.grid import make_image, resample_to
from cpmlib.mri.rigid_search import FIRST, Sampled, descend, matrix_of

if TYPE_CHECKING:
    import SimpleITK as sitk  # noqa: N813 (its usual name)

FILE = "datasets/data/mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz"
"""The template, without its skull, in nilearn's wheel."""

WORKING_VOXEL = 2.0
"""Voxel size of the template's mask, mm."""

COARSE = 4.0
"""Voxel size at which the registration ends, mm; finer ones hardly move the mask."""

SMALL = 0.87
"""Scale at which the search starts: most brains are smaller than the template's 1,880 ml (this
makes 1,240 of it), and a template that starts too large ends on the skull."""

BRAIN = 0.2
"""The template's brain is brighter than this share of its brightest voxels."""

BELOW_THE_SKIN = 10.0
"""Skin and skull above the brain's highest point, mm."""

TURN = 20.0
"""The head is tried as it lies, and bent forward and back so far, degrees."""

GOOD = 0.6
"""Least mutual information (nats) of a registration that found the brain: real heads gave 0.7 and
more, failures 0.5 and less."""


SCALE = 1.4
"""No brain is longer or shorter than the template's by more than this factor along any axis."""

OVERLAP = 0.5
"""Least share of the template's brain in the head's field of view."""


def template_mask(
    t1: nib.Nifti1Image, name: str = "T1w", *, quick: bool = False
) -> nib.Nifti1Image | None:
    """Bring the template's brain mask to a head.

    Parameters
    ----------
    t1
        T1-weighted image of a head with its skull, 3-D, in any orientation and unit.
    name
        What to call it in a message.
    quick
        Try only where the header says: good enough to check another mask.

    Returns
    -------
    nibabel.Nifti1Image or None
        uint8, on the grid of `t1`; None if no registration is good enough.

    Raises
    ------
    DatasetError
        If the image is not 3-D or is constant.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> noise = rng.normal(size=(30, 30, 30)).astype(np.float32)
    >>> template_mask(make_image(noise, np.diag([6.0, 6, 6, 1]))) is None
    True
    """
    target, source = _sampled(COARSE), Sampled.of(t1, COARSE, None, name)
    if quick:
        starts = [_start(target, np.zeros(3), SMALL)]
    else:
        starts = [_start(target, shift, SMALL) for shift in _shifts(target, source)]
        starts.append(_search(_sampled(FIRST), Sampled.of(t1, FIRST, None, name)))
    ends = [(_descend(start, target, source), start) for start in starts]
    fit, transform = max(ends, key=lambda end: end[0])
    if fit < GOOD:
        return None
    mask = _template()[1]
    moved = make_image(np.asarray(mask.dataobj), matrix_of(transform) @ mask.affine)
    share = np.asarray(resample_to(moved, t1.affine, t1.shape).dataobj)
    return make_image((np.nan_to_num(share) > 0.5).astype(np.uint8), t1.affine)


@cache
def _template() -> tuple[nib.Nifti1Image, nib.Nifti1Image]:
    """Return the template and its brain mask, 2 mm."""
    # Read as a file, because importing nilearn takes seconds.
    spec = find_spec("nilearn")
    assert spec is not None
    assert spec.origin is not None
    whole = nib.load(Path(spec.origin).parent / FILE)
    assert isinstance(whole, nib.Nifti1Image)
    step = int(WORKING_VOXEL)
    data = np.asarray(whole.dataobj, dtype=np.float32)[::step, ::step, ::step]
    image = make_image(data, whole.affine @ np.diag([step, step, step, 1]))
    brain = ndimage.binary_opening(data > BRAIN * np.percentile(data, 99.5))
    return image, make_image(ndimage.binary_fill_holes(brain).astype(np.uint8), image.affine)


@cache
def _sampled(size: float) -> Sampled:
    image, mask = _template()
    return Sampled.of(image, size, mask, "the template")


def _start(
    target: Sampled, shift: np.ndarray, scale: float, turn: float = 0.0
) -> sitk.AffineTransform:
    """Return a transform from the template: bent forward by `turn` degrees, scaled and shifted."""
    import SimpleITK as sitk  # noqa: N813 (its usual name)

    start = sitk.AffineTransform(3)
    start.SetCenter(target.points().mean(axis=0).tolist())
    start.SetTranslation(shift.tolist())
    start.Rotate(1, 2, np.radians(turn))
    start.Scale(scale)
    return start


def _search(target: Sampled, source: Sampled) -> sitk.AffineTransform:
    """Return the best end of all starts."""
    poses = product((0, -TURN, TURN), _shifts(target, source), (1.0, SMALL))
    starts = [_start(target, shift, scale, turn) for turn, shift, scale in poses]
    return max(starts, key=lambda start: _descend(start, target, source))


def _shifts(template: Sampled, head: Sampled) -> list[np.ndarray]:
    """Return where the head's brain may lie: as the header says, in the middle, below the top."""
    from skimage.filters import threshold_otsu

    centre, top = template.points().mean(axis=0), template.points()[:, 2].max()
    middle = nib.affines.apply_affine(head.affine, (np.array(head.data.shape) - 1) / 2)
    skin = np.argwhere(head.data > 0.5 * threshold_otsu(head.data))
    points = nib.affines.apply_affine(head.affine, skin)
    highest = float(np.percentile(points[:, 2], 99.5))
    upper = points[points[:, 2] > highest - np.ptp(template.points()[:, 2])].mean(axis=0)
    below = np.array([*(upper - centre)[:2], highest - BELOW_THE_SKIN - top])
    return [np.zeros(3), middle - centre, below]


def _descend(transform: sitk.AffineTransform, target: Sampled, source: Sampled) -> float:
    """Improve a transform in place and return the mutual information; 0 if it fits no head."""
    try:
        value = -descend(transform, target, source)
    except RuntimeError:  # no overlap
        return 0.0
    matrix = matrix_of(transform)
    scales = np.linalg.svd(matrix[:3, :3], compute_uv=False)
    sensible = scales.min() > 1 / SCALE and scales.max() < SCALE
    return value if sensible and source.overlap(matrix, target) > OVERLAP else 0.0
