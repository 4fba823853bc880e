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

from cpmlib.roi.extraction import fill_measured
from cpmlib.study.dataset import (
    excluded_rows,
    pseudonymised,
    read_tables,
    write_dataset,
)
from cpmlib.study.derivatives import FOLDER, IGNORED
from cpmlib.study.derivatives import description as description_of_maps
from cpmlib.study.errors import DatasetError
from cpmlib.study.metadata import NOTES, PSEUDONYMISED
from cpmlib.study.pseudonyms import read_key
from cpmlib.study.schemas import RELATION, wanted
from dependencies import BUILD, patients


def main(source: str, folder: str) -> int:
    """Do it; return the exit status."""
    known = patients()
    try:
        participants, samples, description = read_tables(source, extracted=bool(known) or None)
    except DatasetError as error:
        print(error)
        return 2
    tables = [
        _read(BUILD / "patients" / who / "samples.tsv").assign(participant_id=who) for who in known
    ]
    columns = pd.DataFrame({"sample_id": [], "participant_id": []}, dtype=object)
    extracted = pd.concat([columns, *tables], ignore_index=True)
    left_out = samples[excluded_rows(samples) | ~wanted(samples, "he_cellularity")]
    samples, origins = fill_measured(samples, extracted)
    dataset = pseudonymised(participants, samples, description, read_key(BUILD / "key.tsv"))
    # A patient's samples have names of their own, which another patient's may have too.
    own = pd.MultiIndex.from_frame(samples[["participant_id", "sample_id"]])
    new_samples = pd.Series(dataset.samples["sample_id"].to_list(), index=own)
    people = dict(
        zip(participants["participant_id"], dataset.participants["participant_id"], strict=True)
    )
    described: dict[str, object] = {
        "Name": dataset.name,
        "BIDSVersion": "1.10.0",
        "DatasetType": "raw",
        PSEUDONYMISED: True,
        RELATION: dataset.relation,
    }
    if dataset.label:
        described["DataLabel"] = dataset.label
    if dataset.notes:
        described[NOTES] = list(dataset.notes)
    write_dataset(
        folder,
        dataset.participants.assign(participant_id="sub-" + dataset.participants["participant_id"]),
        dataset.samples.assign(
            participant_id="sub-" + dataset.samples["participant_id"],
            sample_id="sample-" + dataset.samples["sample_id"],
        ),
        described,
    )
    # Origins list the samples in the order of their table, for one column after the other.
    pairs = extracted[["participant_id", "sample_id"]]
    extracted["sample_id"] = new_samples.reindex(pd.MultiIndex.from_frame(pairs)).to_list()
    origins["sample_id"] = new_samples.to_list() * (len(origins) // len(new_samples))
    for name, table in (
        ("origins", origins),
        ("extracted", extracted.drop(columns="participant_id")),
    ):
        text = table.to_csv(sep="\t", index=False, na_rep="n/a", lineterminator="\n")
        (Path(folder) / f"{name}.tsv").write_text(text, encoding="utf-8")
    index = {
        people[who]: {
            "folder": who,
            "samples": {new: old for old, new in new_samples[who].items()},
            "uncounted": left_out.loc[left_out["participant_id"] == who, "sample_id"].to_list(),
        }
        for who in known
    }
    (Path(folder) / "images.json").write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")
    if known:
        _describe_derivatives(dataset.name)
    return 0


def _read(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, sep="\t", na_values="n/a", dtype={"sample_id": str})


def _describe_derivatives(name: str) -> None:
    text = json.dumps(description_of_maps(name), indent=2) + "\n"
    (BUILD / FOLDER / "dataset_description.json").write_text(text, encoding="utf-8")
    (BUILD / FOLDER / ".bidsignore").write_text(IGNORED, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
