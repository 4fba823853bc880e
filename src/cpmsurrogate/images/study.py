"""The synthetic study as a BIDS folder: what a real one holds, and nothing that it would not.

The measured columns of the calibrated table are left out: the book extracts them from the images
and counts them in the exports, as it does with a real study.
"""

from __future__ import annotations

import json

import pandas as pd

import cpmlib
from cpmlib.study.dataset import dataset_texts
from cpmlib.study.schemas import MEASURED

COUNTED = ("he_nuclei", "he_tissue_area")

README = """\
# Synthetic study

Made by `cpmsurrogate`: synthetic patients on the anatomy of the MNI152 template. No patient
was measured. The means of the maps at the targets, and the cell counts, are solved so that the
analysis of the study gives the printed results wherever these can hold together.
"""

IGNORED = """\
# BIDS has no place yet for susceptibility contrast series
**/perf/*_dsc.*
"""


def study_tables(
    participants: pd.DataFrame, samples: pd.DataFrame, description: dict[str, object]
) -> dict[str, str]:
    """Return the text files of the synthetic study, by path from its folder.

    They are the calibrated tables without measured columns, sidecars, descriptions, a README;
    `description` is what the ``dataset_description.json`` of the tables holds.
    """
    described = description | {"DatasetType": "raw", "Acknowledgements": "Synthetic data."}
    drop = [name for name in (*MEASURED, *COUNTED) if name in samples.columns]
    texts = dataset_texts(participants, samples.drop(columns=drop), described)
    exports = {
        "Name": "QuPath exports of the synthetic study",
        "BIDSVersion": description["BIDSVersion"],
        "DatasetType": "derivative",
        "GeneratedBy": [
            {
                "Name": "cpmsurrogate",
                "Version": cpmlib.__version__,
                "Description": "Tables in the form in which QuPath writes them.",
            }
        ],
    }
    texts["derivatives/qupath/dataset_description.json"] = json.dumps(exports, indent=2) + "\n"
    texts["README.md"] = README
    texts[".bidsignore"] = IGNORED
    return texts
