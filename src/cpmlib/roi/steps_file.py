"""Maps and regions of one patient in one file, whole and without loss.

They are those of the patient who is shown step by step, so that nothing is computed again for the
page. Names are the study's; whoever reads them puts the book's in their place.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd

from cpmlib.cpm.patient_maps import PatientMaps
from cpmlib.mri.rcbv import PerfusionFit
from cpmlib.mri.registration import AlignmentReport, RigidTransform
from cpmlib.mri.volume import make_image

STEPS = "steps.npz"
"""Name of the file in the patient's folder; no other patient has one."""


def write_steps(path: Path, maps: PatientMaps, regions: pd.DataFrame) -> None:
    """Write maps and regions (`cpmlib.roi.extraction.extract_regions`) whole, without loss.

    The predicted map is among the maps; how the model came to it is not kept.
    """
    images = {f"maps/{kind}": image for kind, image in maps.maps.items()}
    images |= {f"contrasts/{kind}": image for kind, image in maps.contrasts.items()}
    said: dict[str, Any] = {part: getattr(maps, part) for part in ("notes", "quality", "origins")}
    said["regions"] = regions.to_dict("list")
    if maps.alignment is not None:
        said["alignment"] = asdict(maps.alignment)
    if maps.perfusion is not None:
        fit = vars(maps.perfusion)
        drawn = {name: part for name, part in fit.items() if isinstance(part, nib.Nifti1Image)}
        images |= {f"perfusion/{name}": image for name, image in drawn.items()}
        said["perfusion"] = {name: fit[name] for name in fit.keys() - drawn}
    arrays = {f"{key}/values": np.asarray(image.dataobj) for key, image in images.items()}
    arrays |= {f"{key}/affine": image.affine for key, image in images.items()}
    text = json.dumps(said, default=lambda value: value.tolist())
    np.savez(path, allow_pickle=False, said=np.array(text), **arrays)


def read_steps(path: Path) -> tuple[PatientMaps, pd.DataFrame]:
    """Read what `write_steps` wrote."""
    with np.load(path, allow_pickle=False) as arrays:
        said = json.loads(str(arrays["said"]))
        images: dict[str, dict[str, Any]] = {"maps": {}, "contrasts": {}}
        for key in (key.removesuffix("/values") for key in arrays.files if key.endswith("/values")):
            part, name = key.split("/")
            image = make_image(arrays[f"{key}/values"], arrays[f"{key}/affine"])
            images.setdefault(part, {})[name] = image
    alignment = perfusion = None
    if moved := said.get("alignment"):
        found = {
            kind: RigidTransform(**{**one, "matrix": np.array(one["matrix"])})
            for kind, one in moved["transforms"].items()
        }
        alignment = AlignmentReport(found, tuple(moved["registered"]), moved["coverage"])
    if fit := said.get("perfusion"):
        fit |= {name: np.array(fit[name]) for name in ("times", "reference")}
        fit["baseline"] = tuple(fit["baseline"])
        perfusion = PerfusionFit(**images["perfusion"], **fit)
    maps = PatientMaps(
        images["maps"],
        images["contrasts"],
        tuple(said["notes"]),
        said["quality"],
        perfusion=perfusion,
        alignment=alignment,
        origins=said["origins"],
    )
    return maps, pd.DataFrame(said["regions"])
