"""One image in several orientations: the same values at the same places in the world."""

from __future__ import annotations

import nibabel as nib
import numpy as np
from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform
from scipy.spatial.transform import Rotation

ANGLES = (12.0, -8.0, 17.0)
"""Rotations about x, y and z of the oblique copy, degrees."""


def reoriented(image: nib.Nifti1Image, codes: str) -> nib.Nifti1Image:
    """Reorder and flip the axes; nothing is interpolated."""
    change = ornt_transform(io_orientation(image.affine), axcodes2ornt(codes))
    return image.as_reoriented(change)


def turned(image: nib.Nifti1Image) -> np.ndarray:
    """Return the rotation in the world, about the image's centre, that makes the oblique copy."""
    centre = nib.affines.apply_affine(image.affine, (np.array(image.shape[:3]) - 1) / 2)
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", ANGLES, degrees=True).as_matrix()
    matrix[:3, 3] = centre - matrix[:3, :3] @ centre
    return matrix


def same_image_in_orientations(image: nib.Nifti1Image) -> dict[str, nib.Nifti1Image]:
    """Return RAS, LAS, LPS and PIR copies of an image, and an oblique one.

    The first four hold the same values at the same places in the world. The oblique one is the
    image turned as a whole: a voxel at p is now at ``turned(image) @ p``.
    """
    copies = {codes: reoriented(image, codes) for codes in ("RAS", "LAS", "LPS", "PIR")}
    flipped = reoriented(image, "LPS")
    data = np.asarray(flipped.dataobj)
    copies["oblique"] = nib.Nifti1Image(data, turned(image) @ flipped.affine)
    return copies
