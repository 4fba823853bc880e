"""Check a dataset and write it in its canonical form, identifiers replaced by pseudonyms.

    python workflow/dataset.py SOURCE FOLDER

Everything downstream reads FOLDER, so no identifier of a study can reach a page. Exits with 2
and a list of problems if the dataset cannot be analysed; FOLDER is then left as it was.
"""

from __future__ import annotations

import sys

from cpmlib.dataset import read_dataset, write_dataset
from cpmlib.errors import DatasetError


def main(source: str, folder: str) -> int:
    """Do it; return the exit status."""
    try:
        dataset = read_dataset(source)
    except DatasetError as error:
        print(error)
        return 2
    participants = dataset.participants.assign(
        participant_id="sub-" + dataset.participants["participant_id"]
    )
    samples = dataset.samples.assign(
        participant_id="sub-" + dataset.samples["participant_id"],
        sample_id="sample-" + dataset.samples["sample_id"],
    )
    description: dict[str, object] = {
        "Name": dataset.name,
        "BIDSVersion": "1.10.0",
        "DatasetType": "raw",
    }
    if dataset.label:
        description["DataLabel"] = dataset.label
    write_dataset(folder, participants, samples, description)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
