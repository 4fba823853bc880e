"""Count the nuclei on an H&E tile: for teaching, and as a check of the counts that came with it.

Stains absorb light: the optical density of a pixel is the sum of what each stain takes up, so a
matrix of three stain vectors turns RGB into amounts of stain (colour deconvolution). Where there is
much haematoxylin there are nuclei; a watershed parts those that touch.

Vocabulary
----------
- *tile*: RGB image, 8 bits, white where there is no tissue; rows run down, columns to the right.
- *haematoxylin channel*: amount of haematoxylin in each pixel, in the arbitrary unit of
  `skimage.color.rgb2hed`; about 0 where there is none.
- *seed*: pixel from which the watershed floods one nucleus.

References
----------
Ruifrok AC, Johnston DA (2001) Analytical and Quantitative Cytology and Histology 23:291-299.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from skimage.color import rgb2hed, separate_stains
from skimage.feature import peak_local_max
from skimage.filters import gaussian, threshold_otsu
from skimage.segmentation import watershed

SMOOTHING_UM = 0.5
"""Gaussian that evens out chromatin but keeps neighbours apart."""
SEED_SMOOTHING_UM = 0.6
SEED_DISTANCE_UM = 2.0
"""Seeds closer than this are one nucleus: less than the radius of a glial nucleus."""
MINIMUM_AREA_UM2 = 8.0
"""Smaller spots are debris or nuclei cut at their tip."""
MINIMUM_STAIN = 0.025
"""Haematoxylin channel below which nothing is a nucleus, however empty the tile; neuropil has
about half."""
PIXEL_SIZE_RANGE_UM = (0.1, 1.0)
"""Coarser pixels do not show nuclei; finer ones are no light microscope's."""


@dataclass(frozen=True)
class NucleusCount:
    """Nuclei found on a tile.

    Parameters
    ----------
    n : int
        Number of nuclei.
    density : float
        Nuclei per mm2 of tile.
    labels : (H, W) int32
        0 for the ground, 1 to n inside the nuclei.
    haematoxylin : (H, W) float
        The haematoxylin channel.
    threshold : float
        The channel's value above which a pixel is nuclear.
    """

    n: int
    density: float
    labels: np.ndarray
    haematoxylin: np.ndarray
    threshold: float


def count_nuclei(
    rgb: np.ndarray, pixel_size_um: float, *, stain_matrix: np.ndarray | None = None
) -> NucleusCount:
    """Count the nuclei on a tile.

    Parameters
    ----------
    rgb : (H, W, 3) uint8
        The tile.
    pixel_size_um
        µm per pixel, 0.1 to 1.
    stain_matrix : (3, 3) array, optional
        What `skimage.color.separate_stains` takes, haematoxylin first; by default the matrix of
        Ruifrok and Johnston for haematoxylin, eosin and DAB.

    Returns
    -------
    NucleusCount
        Every nucleus of which enough lies on the tile is counted, those at the border too.

    Raises
    ------
    ValueError
        If the tile is not (H, W, 3) uint8 of at least 16 x 16 pixels, or the pixel size is out of
        range.

    Examples
    --------
    >>> blank = np.full((64, 64, 3), 240, dtype=np.uint8)
    >>> count_nuclei(blank, 0.5).n
    0
    """
    _check(rgb, pixel_size_um)
    stains = rgb2hed(rgb) if stain_matrix is None else separate_stains(rgb, stain_matrix)
    haematoxylin = gaussian(stains[..., 0], SMOOTHING_UM / pixel_size_um)
    threshold = MINIMUM_STAIN
    if np.ptp(haematoxylin) > 0:
        threshold = max(threshold, float(threshold_otsu(haematoxylin)))
    mask = ndimage.binary_fill_holes(haematoxylin > threshold)
    labels = _part(mask, pixel_size_um)
    n = int(labels.max())
    area_mm2 = rgb.shape[0] * rgb.shape[1] * (pixel_size_um / 1000) ** 2
    return NucleusCount(n, n / area_mm2, labels, haematoxylin, threshold)


def _check(rgb: np.ndarray, pixel_size_um: float) -> None:
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8 or min(rgb.shape[:2]) < 16:
        found = f"an array of shape {rgb.shape} and type {rgb.dtype}"
        raise ValueError(f"{found}; expected (H, W, 3) of uint8, at least 16 x 16")
    low, high = PIXEL_SIZE_RANGE_UM
    if not low <= pixel_size_um <= high:
        raise ValueError(f"pixel size is {pixel_size_um} µm; expected {low} to {high}")


def _part(mask: np.ndarray, pixel_size_um: float) -> np.ndarray:
    """Part touching nuclei at their waists, and drop what is too small."""
    depth = ndimage.distance_transform_edt(mask)
    depth = gaussian(depth, SEED_SMOOTHING_UM / pixel_size_um)
    seeds = peak_local_max(
        depth,
        min_distance=max(1, math.floor(SEED_DISTANCE_UM / pixel_size_um)),
        labels=ndimage.label(mask)[0],
        exclude_border=False,
    )
    markers = np.zeros(mask.shape, dtype=np.int32)
    markers[tuple(seeds.T)] = np.arange(1, len(seeds) + 1)
    labels = watershed(-depth, markers, mask=mask)
    size = np.bincount(labels.ravel())
    keep = size * pixel_size_um**2 >= MINIMUM_AREA_UM2
    keep[0] = False
    number = np.where(keep, np.cumsum(keep), 0).astype(np.int32)
    return np.asarray(number[labels])
