"""Count the nuclei on an H&E tile: for teaching, and as a check of the counts that came with it.

Stains absorb light: the optical density of a pixel is the sum of what each stain takes up, so a
matrix of three stain vectors turns RGB into amounts of stain (colour deconvolution). Where there is
much haematoxylin, or much more than around, there are nuclei; a watershed parts those that touch. A
threshold for the whole tile (Otsu) gives dark nuclei whole but drops pale ones; the Laplacian of a
Gaussian finds blobs of a nucleus's size, pale ones too, but breaks long ones. So both are used: the
threshold or a blob says where nuclei are, depth and blobs say where one ends and the next begins.

A tile shows nuclei whose greater part lies beside it, so that all it shows over its area is too
much. A nucleus is counted if its centroid lies in a frame so far from the tile's border that none
in it is cut: neighbouring frames then count each nucleus once (the edge effect: Gundersen; one
point for each object: Miles).

Vocabulary
----------
- *tile*: RGB picture, 8 bits, of a part of a section, white where there is no tissue; rows run
  down, columns to the right.
- *haematoxylin channel*: amount of haematoxylin in a pixel, in the arbitrary unit of
  `skimage.color.rgb2hed`; about 0 where there is none.
- *spot contrast*: how much more haematoxylin there is in a disc of a nucleus's size than around it,
  the negative Laplacian of Gaussian normalised for scale (Lindeberg), in the channel's unit.
- *watershed seed*, seed: pixel from which the watershed floods one nucleus.
- *counting frame*: the tile without a margin at its border; the area to which the count belongs.

References
----------
Gundersen HJG (1977) Journal of Microscopy 111:219-223.
Lindeberg T (1998) International Journal of Computer Vision 30:79-116.
Miles RE (1978) Journal of Microscopy 113:257-267.
Ruifrok AC, Johnston DA (2001) Analytical and Quantitative Cytology and Histology 23:291-299.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from skimage.color import rgb2hed
from skimage.feature import peak_local_max
from skimage.filters import gaussian, threshold_otsu
from skimage.segmentation import watershed

SMOOTHING_UM = 0.5
"""Gaussian that evens out chromatin but keeps neighbours apart."""
NUCLEUS_RADIUS_UM = 3.0
"""Of the disc of which spot contrast is greatest; glial nuclei measure 6 to 10 µm across."""
PALE_CONTRAST = 0.008
"""Spot contrast from which a place below the threshold is a pale nucleus; painted neuropil has less
than half of it."""
PALE_STAIN = 0.5
"""Least stain of a pale nucleus, as a share of the threshold."""
CONTRAST_WEIGHT = 2.0
"""µm of depth that a spot contrast as large as the threshold is worth where seeds are sought."""
SEED_SMOOTHING_UM = 0.6
SEED_DISTANCE_UM = 2.0
"""Seeds closer than this are one nucleus: less than the radius of a glial nucleus."""
MIN_AREA_UM2 = 8.0
"""Smaller spots are debris or nuclei cut at their tip."""
MIN_STAIN = 0.025
"""Haematoxylin channel below which nothing is a nucleus, however empty the tile; neuropil has
about half."""
MARGIN_UM = 6.0
"""Between frame and border: the longest radius of a glial nucleus."""
MIN_SIDE_UM = 4 * MARGIN_UM
"""Least side of a tile; half of it is frame."""
PIXEL_SIZE_RANGE_UM = (0.1, 1.0)
"""Coarser pixels do not show nuclei; finer ones are no light microscope's."""


@dataclass(frozen=True)
class NucleusCount:
    """Nuclei found on a tile.

    Parameters
    ----------
    n, density
        Nuclei in the frame, and per mm2 of it.
    labels : (H, W) int32
        0 for the ground, 1 to n inside the nuclei counted, above n inside the others.
    margin
        Between frame and border, pixels.
    haematoxylin : (H, W) float
        The haematoxylin channel.
    threshold
        The channel's value above which a pixel is nuclear; below it, pixels of pale nuclei are.
    """

    n: int
    density: float
    labels: np.ndarray
    margin: float
    haematoxylin: np.ndarray
    threshold: float


def count_nuclei(rgb: np.ndarray, pixel_size_um: float) -> NucleusCount:
    """Count the nuclei on a tile, (H, W, 3) uint8, whose centroid lies in the frame.

    A ValueError is raised for another array, for a pixel size that is not 0.1 to 1 µm, and for a
    side below 24 µm.

    Examples
    --------
    >>> count_nuclei(np.full((64, 64, 3), 240, dtype=np.uint8), 0.5).n
    0
    """
    _check(rgb, pixel_size_um)
    stain = rgb2hed(rgb)[..., 0]
    haematoxylin = gaussian(stain, SMOOTHING_UM / pixel_size_um)
    threshold = MIN_STAIN
    if np.ptp(haematoxylin) > 0:
        threshold = max(threshold, float(threshold_otsu(haematoxylin)))
    sigma = NUCLEUS_RADIUS_UM / math.sqrt(2) / pixel_size_um
    contrast = -(sigma**2) * ndimage.gaussian_laplace(stain, sigma)
    pale = (contrast > PALE_CONTRAST) & (haematoxylin > max(MIN_STAIN, PALE_STAIN * threshold))
    mask = ndimage.binary_fill_holes((haematoxylin > threshold) | pale)
    margin = MARGIN_UM / pixel_size_um
    parted = _part(mask, contrast * (CONTRAST_WEIGHT / threshold), pixel_size_um)
    labels, n = _number_framed(parted, margin)
    height, width = np.array(mask.shape) - 2 * margin
    density = n / (height * width * (pixel_size_um / 1000) ** 2)
    return NucleusCount(n, float(density), labels, margin, haematoxylin, threshold)


def _check(rgb: np.ndarray, pixel_size_um: float) -> None:
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8:
        found = f"an array of shape {rgb.shape} and type {rgb.dtype}"
        raise ValueError(f"{found}; expected (H, W, 3) of uint8")
    low, high = PIXEL_SIZE_RANGE_UM
    if not low <= pixel_size_um <= high:
        raise ValueError(f"pixel size is {pixel_size_um} µm; expected {low} to {high}")
    side = min(rgb.shape[:2]) * pixel_size_um
    if side < MIN_SIDE_UM:
        raise ValueError(f"a tile of {side:g} µm; expected a side of at least {MIN_SIDE_UM:g} µm")


def _part(mask: np.ndarray, bonus_um: np.ndarray, pixel_size_um: float) -> np.ndarray:
    """Part touching nuclei at their waists and between their blobs, and drop what is too small."""
    depth = ndimage.distance_transform_edt(mask)
    depth = pixel_size_um * gaussian(depth, SEED_SMOOTHING_UM / pixel_size_um) + bonus_um
    seeds = peak_local_max(
        depth,
        min_distance=max(1, math.floor(SEED_DISTANCE_UM / pixel_size_um)),
        labels=ndimage.label(mask)[0],
        exclude_border=False,
    )
    markers = np.zeros(mask.shape, dtype=np.int32)
    markers[tuple(seeds.T)] = np.arange(1, len(seeds) + 1)
    labels = watershed(-depth, markers, mask=mask)
    keep = np.bincount(labels.ravel()) * pixel_size_um**2 >= MIN_AREA_UM2
    keep[0] = False
    number = np.where(keep, np.cumsum(keep), 0).astype(np.int32)
    return np.asarray(number[labels])


def _number_framed(labels: np.ndarray, margin: float) -> tuple[np.ndarray, int]:
    """Give the nuclei in the frame the first numbers, and say how many there are."""
    numbers = np.arange(1, labels.max() + 1)
    if not len(numbers):
        return labels, 0
    centroid = np.array(ndimage.center_of_mass(labels > 0, labels, numbers))
    low, high = margin - 0.5, np.array(labels.shape) - margin - 0.5  # the tile starts at -0.5
    framed = ((centroid >= low) & (centroid < high)).all(axis=1)
    new = np.zeros(len(numbers) + 1, dtype=np.int32)
    new[1 + np.argsort(~framed, kind="stable")] = numbers
    return new[labels], int(framed.sum())
