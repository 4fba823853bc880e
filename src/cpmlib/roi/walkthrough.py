"""One patient from raw images to rows of the sample table, every step kept to be looked at.

The steps are those that the workflow takes for every patient: `cpmlib.mri.patient.read_patient`,
`cpmlib.cpm.patient_maps.make_maps` and `cpmlib.roi.extraction.extract_regions`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import nibabel as nib
import numpy as np
import pandas as pd

from cpmlib.cpm.patient_maps import PatientMaps
from cpmlib.mri.patient import PatientImages
from cpmlib.roi.extraction import MAPS
from cpmlib.roi.sphere import sphere_weights
from cpmlib.study.names import KINDS
from cpmlib.study.options import AXES, ImageOptions

INVENTORY = ("image", "grid", "voxel (mm)", "axes point to", "volumes")


@dataclass(frozen=True)
class Walkthrough:
    """What was seen on the way of a patient, a pseudonym; empty where the dataset has no images."""

    patient: str | None = None
    samples: pd.DataFrame = field(default_factory=pd.DataFrame)
    images: PatientImages = field(default_factory=PatientImages)
    maps: PatientMaps = field(default_factory=lambda: PatientMaps({}))
    regions: pd.DataFrame = field(default_factory=pd.DataFrame)
    options: ImageOptions = field(default_factory=ImageOptions)

    @property
    def pictures(self) -> Mapping[str, nib.Nifti1Image]:
        """Contrasts and maps on the reference grid."""
        return {**self.maps.contrasts, **self.maps.maps}

    @property
    def target(self) -> np.ndarray | None:
        """Target of the patient's first representative case, or first sample: mm, RAS+."""
        placed = self.samples.dropna(subset=list(AXES)) if len(self.samples) else self.samples
        if not len(placed):
            return None
        if "case" in placed.columns:
            placed = placed.sort_values("case", na_position="last", kind="stable")
        target: np.ndarray = placed[list(AXES)].to_numpy(dtype=float)[0]
        return target


def inventory(images: PatientImages) -> pd.DataFrame:
    """List a patient's images with their grids, in the columns `INVENTORY`.

    Examples
    --------
    >>> image = nib.Nifti1Image(np.zeros((2, 3, 4), np.float32), np.diag([-1.0, 1, 3, 1]))
    >>> inventory(PatientImages({"FLAIR": image})).iloc[0, 1:4].tolist()
    ['2 × 3 × 4', '1.0 × 1.0 × 3.0', 'LAS']
    """
    found = {**images.volumes, **{kind: series.image for kind, series in images.series.items()}}
    rows = [
        (
            KINDS[kind].description,
            " × ".join(str(n) for n in image.shape[:3]),
            " × ".join(f"{size:.1f}" for size in nib.affines.voxel_sizes(image.affine)),
            "".join(nib.aff2axcodes(image.affine)),
            image.shape[3] if len(image.shape) == 4 else 1,
        )
        for kind, image in found.items()
    ]
    return pd.DataFrame(rows, columns=list(INVENTORY))


def voxels_of_sphere(walk: Walkthrough) -> pd.DataFrame:
    """List the voxels of the target's sphere: place (mm, RAS+), distance (mm), weight, maps."""
    columns = ["x", "y", "z", "distance", "weight"]
    mask = walk.maps.maps.get("mask")
    if walk.target is None or mask is None:
        return pd.DataFrame(columns=columns)
    size = walk.options.roi_diameter, walk.options.roi_weighting
    voxels, weights = sphere_weights(mask.affine, mask.shape, walk.target, *size)
    world = nib.affines.apply_affine(mask.affine, voxels)
    table = pd.DataFrame(world, columns=["x", "y", "z"])
    table["distance"] = np.linalg.norm(world - walk.target, axis=1)
    table["weight"] = weights
    for column, kind in MAPS.items():
        image = walk.maps.maps.get(kind)
        if image is not None and image.shape == mask.shape:
            table[column] = np.asarray(image.dataobj)[tuple(voxels.T)]
    return table.sort_values("distance", kind="stable").reset_index(drop=True)
