"""Check a dataset and write it in its canonical form, identifiers replaced by pseudonyms.

    python workflow/dataset.py SOURCE FOLDER

What was extracted from images and counted fills the measured columns that the study's own tables
leave open. Everything downstream reads FOLDER, so no identifier of a study can reach a page. Exits
with 2 and a list of problems if the dataset cannot be analysed; FOLDER is then left as it was.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pandas as pd

from cpmlib.dataset import PSEUDONYMISED, pseudonymised, read_tables, write_dataset
from cpmlib.derivatives import FOLDER, IGNORED
from cpmlib.derivatives import description as description_of_maps
from cpmlib.errors import DatasetError
from cpmlib.extraction import fill_measured
from cpmlib.pseudonyms import read_key
from dependencies import BUILD, patients


def main(source: str, folder: str) -> int:
    """Do it; return the exit status."""
    known = patients()
    try:
        participants, samples, description = read_tables(source, extracted=bool(known) or None)
    except DatasetError as error:
        print(error)
        return 2
    tables = [_read(BUILD / "patients" / who / "samples.tsv") for who in known]
    columns = pd.DataFrame({"sample_id": pd.Series(dtype=object)})
    extracted = pd.concat([columns, *tables], ignore_index=True)
    samples, origins = fill_measured(samples, extracted)
    dataset = pseudonymised(participants, samples, description, read_key(BUILD / "key.tsv"))
    new_samples = dict(zip(samples["sample_id"], dataset.samples["sample_id"], strict=True))
    people = dict(
        zip(participants["participant_id"], dataset.participants["participant_id"], strict=True)
    )
    described: dict[str, object] = {
        "Name": dataset.name,
        "BIDSVersion": "1.10.0",
        "DatasetType": "raw",
        PSEUDONYMISED: True,
    }
    if dataset.label:
        described["DataLabel"] = dataset.label
    write_dataset(
        folder,
        dataset.participants.assign(participant_id="sub-" + dataset.participants["participant_id"]),
        dataset.samples.assign(
            participant_id="sub-" + dataset.samples["participant_id"],
            sample_id="sample-" + dataset.samples["sample_id"],
        ),
        described,
    )
    for name, table in (("origins", origins), ("extracted", extracted)):
        table["sample_id"] = table["sample_id"].map(new_samples)
        text = table.to_csv(sep="\t", index=False, na_rep="n/a", lineterminator="\n")
        (Path(folder) / f"{name}.tsv").write_text(text, encoding="utf-8")
    index = {
        people[who]: {"folder": who, "samples": _of(samples, who, new_samples)} for who in known
    }
    (Path(folder) / "images.json").write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")
    if known:
        _describe_derivatives(dataset.name)
    return 0


def _read(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, sep="\t", na_values="n/a", dtype={"sample_id": str})


def _of(samples: pd.DataFrame, who: str, names: dict[str, str]) -> dict[str, str]:
    """Return a patient's samples: pseudonym and the name that files have."""
    return {names[old]: old for old in samples["sample_id"][samples["participant_id"] == who]}


def _describe_derivatives(name: str) -> None:
    text = json.dumps(description_of_maps(name), indent=2) + "\n"
    (BUILD / FOLDER / "dataset_description.json").write_text(text, encoding="utf-8")
    (BUILD / FOLDER / ".bidsignore").write_text(IGNORED, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
