"""The native images of a synthetic patient while they are changed, and how they are read.

Vocabulary
----------
- *bump*: 1 at a target, falling smoothly to 0 within about two sphere radii.
- *grain*: the step of the 16-bit numbers in which an image is stored; all changes are whole
  grains, so what is solved is what a reader of the file finds.
- *target box*, box: the surroundings of one target on the reference grid, as far as patches around
  its sphere reach.
- *extraction*: pre-processing, prediction, normalisation and averaging as `cpmlib.cpm.patient_maps`
  and `cpmlib.roi.extraction` do them; nothing here has a shortcut of its own for the final check.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import nibabel as nib
import numpy as np
import pandas as pd
from scipy import sparse

from cpmlib.cpm.features import PATCH
from cpmlib.cpm.model_file import CpmModel
from cpmlib.cpm.predict import cellularity_map, predict_at
from cpmlib.mri.adc import adc_from_series
from cpmlib.mri.brain_mask import find_brain
from cpmlib.mri.images import CONTRASTS, quantised
from cpmlib.mri.patient import DiffusionSeries
from cpmlib.mri.volume import as_volume, reference_grid, resample_to, without_background
from cpmlib.roi.sphere import sphere_weights
from cpmlib.study.options import ImageOptions

GRAIN = 0.125
"""Worth of one stored unit, in the image's own unit: ADC to 4,096e-6 mm2/s fits into 16 bits."""

BUMP_RADIUS = (7.0, 10.0)
"""Distance, mm, at which a bump has fallen to exp(-1): from and to, by the nearest other target."""

REACH = 2.0
"""Radii beyond which nothing is changed."""

CROWDED = 0.85
"""Radius of a bump as a share of the distance to the nearest other target."""


@dataclass(frozen=True)
class Extraction:
    """What the analysis reads at the targets, and by what it divides the raw map."""

    cpm: np.ndarray
    adc: np.ndarray
    factor: float


def bump(image: nib.Nifti1Image, centre: np.ndarray, radius: float = 7.0) -> np.ndarray:
    """Evaluate the bump around a centre, (3,) mm, at the voxels of an image: (X, Y, Z) float32.

    It has fallen to exp(-1) at the radius, mm.

    Examples
    --------
    >>> image = nib.Nifti1Image(np.zeros((31, 1, 1), np.float32), np.eye(4))
    >>> bump(image, np.array([0.0, 0, 0]))[[0, 7, 30], 0, 0].round(3)
    array([1.   , 0.368, 0.   ], dtype=float32)
    """
    shape = np.array(image.shape[:3])
    value = np.zeros(shape, np.float32)
    middle = nib.affines.apply_affine(np.linalg.inv(image.affine), centre)
    # Half the edges of the box around the sphere, in voxels (as for any ellipsoid).
    half = radius * REACH * np.linalg.norm(np.linalg.inv(image.affine[:3, :3]), axis=1)
    low = np.clip(np.floor(middle - half).astype(int), 0, shape)
    high = np.clip(np.ceil(middle + half).astype(int) + 1, 0, shape)
    if (low >= high).any():
        return value
    part = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    matrix, origin = image.affine[:3, :3], image.affine[:3, 3] - centre
    axes = np.ogrid[part]
    squared = np.zeros(high - low)
    for row, start in zip(matrix, origin, strict=True):
        squared += (sum(a * axis for a, axis in zip(row, axes, strict=True)) + start) ** 2
    distance = np.sqrt(squared) / radius
    value[part] = np.where(distance > REACH, 0, np.exp(-(distance**3)))
    return value


def grains(values: np.ndarray) -> np.ndarray:
    """Round to whole grains, as the file will keep them.

    Examples
    --------
    >>> grains(np.array([1.3, 2.0])).tolist()
    [1.25, 2.0]
    """
    return quantised(np.nan_to_num(values), GRAIN).astype(np.float32) * np.float32(GRAIN)


class Scene:
    """A patient's native images, and the reference grid on which they are read.

    The arguments are those of `cpmsurrogate.images.solve.solve_targets`.

    Attributes
    ----------
    images, series
        As they stand, in whole grains.
    means : (4,)
        Of each contrast over the brighter part of the head.
    gain
        T1-weighted signal after gadolinium over that before it, where nothing enhances.
    """

    def __init__(
        self,
        images: Mapping[str, nib.Nifti1Image],
        targets: pd.DataFrame,
        model: CpmModel,
        series: DiffusionSeries | None = None,
    ) -> None:
        self.model = model
        self.series, self._drawn = series, series
        self.options = ImageOptions()
        self.images = {
            kind: nib.Nifti1Image(grains(np.asarray(images[kind].dataobj)), images[kind].affine)
            for kind in CONTRASTS
        }
        self.affine, self.shape = reference_grid(self.images["T1wGd"], model.card.voxel_size)
        self._masked: tuple[nib.Nifti1Image, nib.Nifti1Image] | None = None
        if series is not None:
            self._shift = np.zeros(series.image.shape[:3], np.float32)
            self.add("ADC", self._shift)
        self.centres = targets[["target_x", "target_y", "target_z"]].to_numpy(dtype=float)
        self.wanted = targets[["cpm", "adc"]].to_numpy(dtype=float)
        self.enhancement = list(targets["enhancement"])
        self.spheres = [self._sphere(centre) for centre in self.centres]
        self.boxes = [
            _Box(self, centre, voxels, self._radius(centre))
            for centre, (voxels, _) in zip(self.centres, self.spheres, strict=True)
        ]
        heads = [np.nan_to_num(np.asarray(self.images[kind].dataobj)) for kind in CONTRASTS]
        inside = [head[head > head.mean()] for head in heads]
        self.means = np.array([float(values.mean()) for values in inside])
        # Medians, which a tumour that enhances hardly moves.
        before, after = (CONTRASTS.index(kind) for kind in ("T1w", "T1wGd"))
        self.gain = float(np.median(inside[after]) / np.median(inside[before]))

    def _sphere(self, centre: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        voxels, weights = sphere_weights(
            self.affine,
            self.shape,
            centre,
            diameter=self.options.roi_diameter,
            weighting=self.options.roi_weighting,
        )
        return voxels, weights / weights.sum()

    def _radius(self, centre: np.ndarray) -> float:
        distance = np.linalg.norm(self.centres - centre, axis=1)
        others = distance[distance > 0]
        return float(np.clip(CROWDED * others.min() if len(others) else np.inf, *BUMP_RADIUS))

    def on_grid(self, kind: str) -> nib.Nifti1Image:
        """Return a contrast on the reference grid."""
        volume = as_volume(self.images[kind], kind)
        if kind == "ADC":
            volume = without_background(volume)
        return resample_to(volume, self.affine, self.shape)

    def mask(self) -> nib.Nifti1Image:
        """Return the brain mask, made anew only if T1w is another image than before."""
        image = self.images["T1w"]
        if self._masked is None or self._masked[0] is not image:
            self._masked = image, find_brain(self.on_grid("T1w"))[0]
        return self._masked[1]

    def extract(self) -> Extraction:
        """Read both maps at the targets, as the analysis does."""
        aligned = {kind: self.on_grid(kind) for kind in CONTRASTS}
        inside = np.asarray(self.mask().dataobj) > 0
        for kind in CONTRASTS:
            inside &= np.isfinite(np.asarray(aligned[kind].dataobj))
        for kind in CONTRASTS:
            values = np.nan_to_num(np.asarray(aligned[kind].dataobj))
            aligned[kind] = nib.Nifti1Image(values, self.affine)
        mask = nib.Nifti1Image(inside.astype(np.uint8), self.affine)
        result = cellularity_map(self.model, aligned, mask, self.options.cpm_normalise)
        maps = np.asarray(result.image.dataobj), np.asarray(aligned["ADC"].dataobj)
        cpm, adc = (
            np.array([weights @ values[tuple(voxels.T)] for voxels, weights in self.spheres])
            for values in maps
        )
        return Extraction(cpm, adc, result.factor)

    def add(self, kind: str, change: np.ndarray) -> None:
        """Change a contrast by whole grains; of a series, its weighted volumes."""
        if kind == "ADC" and self._drawn is not None:
            self._shift = self._shift + change
            weights = self._drawn.bvals[None, None, None] * self._shift[..., None] * 1e-6
            values = grains(np.asarray(self._drawn.image.dataobj) * np.exp(-weights))
            image = nib.Nifti1Image(values, self._drawn.image.affine)
            self.series = DiffusionSeries(image, self._drawn.bvals, self._drawn.bvecs)
            self.images["ADC"] = adc_from_series(self.series, self.mask())
            return
        image = self.images[kind]
        values = grains(np.asarray(image.dataobj) + change)
        self.images[kind] = nib.Nifti1Image(values, image.affine)


class _Box:
    """The surroundings of one target, small enough to be read thousands of times."""

    def __init__(self, scene: Scene, centre: np.ndarray, voxels: np.ndarray, radius: float) -> None:
        self.scene, self.centre, self.radius = scene, centre, radius
        low = np.maximum(voxels.min(axis=0) - PATCH // 2, 0)
        high = np.minimum(voxels.max(axis=0) + PATCH // 2 + 1, scene.shape)
        self.voxels = voxels - low
        self.shape = tuple(int(n) for n in high - low)
        places = np.indices(self.shape).reshape(3, -1).T + low
        self._world = nib.affines.apply_affine(scene.affine, places)
        self._readers = {kind: self._reader(scene.images[kind]) for kind in CONTRASTS}

    def _reader(self, image: nib.Nifti1Image) -> tuple[np.ndarray, sparse.csr_array]:
        """Return the native voxels that the box depends on, and the trilinear weights on them."""
        at = nib.affines.apply_affine(np.linalg.inv(image.affine), self._world)
        at = np.clip(at, 0, np.array(image.shape) - 1)
        lower = np.minimum(np.floor(at).astype(int), np.array(image.shape) - 2)
        rest = at - lower
        rows, columns, weights = [], [], []
        for corner in np.ndindex(2, 2, 2):
            share = np.where(corner, rest, 1 - rest).prod(axis=1)
            rows.append(np.arange(len(at)))
            columns.append(np.ravel_multi_index(tuple((lower + corner).T), image.shape))
            weights.append(share)
        native, position = np.unique(np.concatenate(columns), return_inverse=True)
        entries = np.concatenate(weights), (np.concatenate(rows), position)
        matrix = sparse.csr_array(entries, shape=(len(at), len(native)))
        return np.stack(np.unravel_index(native, image.shape), axis=1), matrix

    def native(self, kind: str) -> np.ndarray:
        """Return the indices, (n, 3), of the native voxels on which the box depends."""
        return self._readers[kind][0]

    def values(self, kind: str) -> np.ndarray:
        """Return a contrast at those voxels."""
        values = np.asarray(self.scene.images[kind].dataobj)[tuple(self.native(kind).T)]
        return np.nan_to_num(values).astype(float)

    def resample(self, values: np.ndarray, kind: str) -> np.ndarray:
        """Return values at those voxels as they appear on the box."""
        read = self._readers[kind][1] @ values
        return read.reshape(self.shape).astype(np.float32)

    def contrasts(self) -> np.ndarray:
        """Return all contrasts on the box, (4, X, Y, Z) float32."""
        return np.stack([self.resample(self.values(kind), kind) for kind in CONTRASTS])

    def nudge_adc(self, weights: np.ndarray, lacking: float) -> None:
        """Change single voxels of the ADC map by one grain until its mean over the sphere is met.

        Voxels of large weight go first, so that each next one can mend what is left.
        """
        native, matrix = self._readers["ADC"]
        rows = np.ravel_multi_index(tuple(self.voxels.T), self.shape)
        effect = GRAIN * (matrix[rows].T @ weights)
        values = np.asarray(self.scene.images["ADC"].dataobj)
        for voxel in np.argsort(-effect, kind="stable"):
            if effect[voxel] > 0 and abs(lacking) >= effect[voxel]:
                values[tuple(native[voxel])] += np.sign(lacking) * GRAIN
                lacking -= np.sign(lacking) * effect[voxel]

    def raw(self, contrasts: np.ndarray, weights: np.ndarray) -> float:
        """Return the mean of the raw prediction over the sphere."""
        return float(weights @ predict_at(self.scene.model, contrasts, self.voxels))
