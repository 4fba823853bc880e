"""How finely the synthetic images are sampled.

Vocabulary
----------
- *voxel*: edge lengths in mm along the two in-plane axes and through the slices.
- *light*: the default; small enough for a laptop to make the cohort in minutes.
- *full*: the resolution of a brain-tumour protocol (BTIP, Ellingson et al. 2015, Neuro-Oncology
  17:1188): T1 1 mm isotropic, FLAIR in 3-mm slices, diffusion 2 mm, DSC in 5-mm slices.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Voxel = tuple[float, float, float]


@dataclass(frozen=True)
class Profile:
    """The voxel sizes of a patient's series.

    Parameters
    ----------
    t1, flair, diffusion, perfusion
        Voxel of T1w and T1wGd, FLAIR, ADC and the diffusion series, DSC; mm.
    directions
        Number of diffusion directions at b = 1000 s/mm2.
    """

    name: str
    t1: Voxel
    flair: Voxel
    diffusion: Voxel
    perfusion: Voxel
    directions: int = 64

    @property
    def t1_voxel(self) -> float:
        """Voxel size of the isotropic grid on which the contrasts meet, mm."""
        return self.t1[0]

    def voxel(self, contrast: str) -> np.ndarray:
        """Give the (3,) native voxel of a contrast, mm."""
        voxels = {"T1w": self.t1, "T1wGd": self.t1, "FLAIR": self.flair, "ADC": self.diffusion}
        voxels["DSC"] = self.perfusion
        if contrast not in voxels:
            raise ValueError(f"no contrast {contrast!r}; there are: {', '.join(voxels)}")
        return np.array(voxels[contrast])


LIGHT = Profile("light", (2.0, 2.0, 2.0), (2.0, 2.0, 4.0), (3.0, 3.0, 3.0), (3.6, 3.6, 6.0))
FULL = Profile("full", (1.0, 1.0, 1.0), (0.9, 0.9, 3.0), (2.0, 2.0, 2.0), (1.8, 1.8, 5.0))
PROFILES = {profile.name: profile for profile in (LIGHT, FULL)}
