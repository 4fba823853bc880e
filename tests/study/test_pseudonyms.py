"""Pseudonyms: stable, without a trace of identifiers, and kept where nothing is shared."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pandas as pd
import pytest

import dependencies
import prepare
import private_folder
from cpmlib.statistics.one_per_patient import monte_carlo
from cpmlib.study.dataset import pseudonymised, read_dataset, read_tables, write_dataset
from cpmlib.study.errors import DatasetError
from cpmlib.study.pseudonyms import Key, key_text, read_key
from studies import rewrite


@pytest.fixture
def private(tmp_path, monkeypatch):
    for module in (dependencies, prepare):
        monkeypatch.setattr(module, "BUILD", tmp_path / "private")
    monkeypatch.setattr(dependencies, "SHARED", tmp_path)
    return tmp_path / "private"


def insert(study, place: int, patient: str) -> None:
    """Put a patient with two samples between the others, in both tables."""
    rewrite(
        study / "participants.tsv", lambda rows: rows.insert(place, [patient, *rows[place][1:]])
    )
    new = ["sample-new1", "sample-new2"]
    rewrite(
        study / "samples.tsv",
        lambda rows: rows.__setitem__(
            slice(place, place), [[name, patient, *rows[place][2:]] for name in new]
        ),
    )


def test_a_row_between_others_renames_none(private, study):
    prepare.prepare_study(study)
    before = read_key(private / "key.tsv")
    insert(study, 4, "sub-between")
    prepare.prepare_study(study)
    after = read_key(private / "key.tsv")
    assert after.patients == before.patients | {"sub-between": "P28"}
    new = {("sub-between", "sample-new1"): "S67", ("sub-between", "sample-new2"): "S68"}
    assert after.samples == before.samples | new
    # Taken out again, its number goes to nobody else.
    rewrite(study / "participants.tsv", lambda rows: rows.pop(4))
    rewrite(study / "samples.tsv", lambda rows: rows.__delitem__(slice(4, 6)))
    insert(study, 2, "sub-later")
    prepare.prepare_study(study)
    assert read_key(private / "key.tsv").patients["sub-later"] == "P29"


def test_another_study_in_between_changes_nothing_and_has_numbers_of_its_own(
    private, study, tmp_path
):
    prepare.prepare_study(study)
    before = (private / "key.tsv").read_bytes()
    other = tmp_path / "other"
    shutil.copytree(study, other)
    for name in ("participants.tsv", "samples.tsv"):
        path = other / name
        path.write_text(path.read_text().replace("sub-", "sub-x"))
    prepare.prepare_study(other)
    assert set(read_key(private / "key.tsv").patients.values()) == {
        f"P{i:02d}" for i in range(1, 28)
    }
    prepare.prepare_study(study)
    assert (private / "key.tsv").read_bytes() == before


def test_the_same_name_of_a_sample_in_two_patients_is_two_samples():
    people = pd.DataFrame({"participant_id": ["sub-a", "sub-b"]})
    rows = pd.DataFrame(
        {"participant_id": ["sub-a", "sub-b"], "sample_id": ["sample-1", "sample-1"]}
    )
    dataset = pseudonymised(people, rows, {})
    assert dataset.samples["sample_id"].tolist() == ["S01", "S02"]
    assert dataset.samples["participant_id"].tolist() == ["P01", "P02"]


def test_what_was_pseudonymised_keeps_its_numbers(study, tmp_path):
    participants, samples, description = read_tables(study)
    known = Key({"sub-27": "P01"}, {})
    wanted = pseudonymised(participants, samples, description, known)
    assert wanted.participants["participant_id"].iloc[-1] == "P01"
    write_dataset(
        tmp_path / "written",
        wanted.participants.assign(participant_id="sub-" + wanted.participants["participant_id"]),
        wanted.samples.assign(
            participant_id="sub-" + wanted.samples["participant_id"],
            sample_id="sample-" + wanted.samples["sample_id"],
        ),
        description | {"Pseudonymised": True},
    )
    again = read_dataset(tmp_path / "written").samples
    pd.testing.assert_frame_equal(again[wanted.samples.columns], wanted.samples)
    # A study that says so of identifiers of its own is not believed.
    path = study / "dataset_description.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"Pseudonymised": True}))
    assert read_dataset(study).participants["participant_id"].iloc[-1] == "P27"


def test_draws_do_not_depend_on_what_patients_are_called(cohort):
    """One sample a patient, drawn by a seed: names in another order, the same draws."""
    samples = cohort.samples.dropna(subset=["cpm", "he_cellularity"])
    names = samples["participant_id"]
    turned = names.map({name: f"P{99 - i}" for i, name in enumerate(names.unique())})
    drawn = [
        monte_carlo(
            samples["cpm"],
            samples["he_cellularity"],
            who,
            n_draws=50,
            rng=np.random.default_rng(7),
        )
        for who in (names, turned)
    ]
    np.testing.assert_array_equal(drawn[0], drawn[1])


@pytest.mark.parametrize(
    "rows",
    [
        "sub-a\tn/a\tP01\nsub-a\tn/a\tP02",
        "sub-a\ts\tS01\nsub-a\ts\tS02",
        "sub-a\tn/a\tP01\nsub-b\tn/a\tP01",
        "sub-a\tn/a\tHans",
        "sub-a\tP01",
        "sub-a\ts\tP01",
    ],
)
def test_a_spoilt_key_is_named(tmp_path, rows):
    path = tmp_path / "key.tsv"
    path.write_text(key_text(Key()) + rows + "\n")
    with pytest.raises(DatasetError, match=r"key\.tsv, row \d"):
        read_key(path)


@pytest.mark.parametrize("content", [b"", b"sub-01\tP01\n", b"\xff\xfep"])
def test_a_file_that_is_no_key_does_not_number_patients_anew(tmp_path, content):
    (tmp_path / "key.tsv").write_bytes(content)
    with pytest.raises(DatasetError, match=r"key\.tsv"):
        read_key(tmp_path / "key.tsv")


@pytest.mark.parametrize("content", [b"", b"who\tsample\tname\n", b"\xff\xfe\n", b"\n"])
def test_a_key_without_its_header_is_named(tmp_path, content):
    path = tmp_path / "key.tsv"
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=r"key\.tsv"):
        read_key(path)


def test_a_study_that_was_moved_keeps_its_numbers(private, study, tmp_path, capsys):
    prepare.prepare_study(study)
    insert(study, 2, "sub-new")
    prepare.prepare_study(study)
    before = read_key(private / "key.tsv")
    assert before.patients["sub-new"] == "P28"
    for place in ("moved", "moved again"):
        capsys.readouterr()
        study = study.rename(tmp_path / place)
        prepare.prepare_study(study)
        assert read_key(private / "key.tsv") == before
        assert "keep" in capsys.readouterr().out
    prepare.prepare_study(study)
    assert "keep" not in capsys.readouterr().out, "said once"


def test_a_study_of_which_few_are_known_or_two_studies_know_all_gets_new_numbers(
    private, study, tmp_path
):
    prepare.prepare_study(study)
    insert(study, 2, "sub-new")
    prepare.prepare_study(study)
    other = tmp_path / "other"
    shutil.copytree(study, other)

    def rename(rows):
        for row in rows[1:]:
            row[:] = [f"sub-x{cell[4:]}" if cell in few else cell for cell in row]

    few = {f"sub-{i:02d}" for i in range(1, 20)}
    for name in ("participants.tsv", "samples.tsv"):
        rewrite(other / name, rename)
    prepare.prepare_study(other)
    assert read_key(private / "key.tsv").patients["sub-new"] == "P02"
    # Names are the same, but not what they were given to.
    shutil.rmtree(other)
    shutil.copytree(study, other)
    rewrite(
        other / "samples.tsv",
        lambda rows: [
            row.__setitem__(rows[0].index("sample_id"), f"sample-y{i}")
            for i, row in enumerate(rows)
            if i
        ],
    )
    other = other.rename(tmp_path / "alike")
    prepare.prepare_study(other)
    assert read_key(private / "key.tsv").patients["sub-new"] == "P02"
    # Two keys hold the patients of a third study: neither is surely its own.
    for path in sorted((private / "keys").iterdir()):
        shutil.copy(path, private / "keys" / f"copy-{path.name}")
    prepare.prepare_study(study.rename(tmp_path / "third"))
    assert read_key(private / "key.tsv").patients["sub-new"] == "P02"


def test_the_private_folder_says_what_it_is_and_holds_snakemake_s_notes(private, monkeypatch):
    monkeypatch.setattr(dependencies, "ROOT", private.parent)
    (private.parent / ".snakemake" / "metadata").mkdir(parents=True)
    private_folder.make_private_folder()
    private_folder.make_private_folder()
    assert "Do not share this folder" in (private / "README.md").read_text()
    assert (private / "snakemake" / "metadata").is_dir()
    shutil.rmtree(private)
    private_folder.make_private_folder()
    assert (private.parent / ".snakemake").is_dir()


def test_the_synthetic_study_gives_its_numbers_to_no_other(private, study, monkeypatch, tmp_path):
    monkeypatch.setattr(prepare, "CALIBRATED", study)
    prepare.prepare_study(study)
    insert(study, 2, "sub-new")
    prepare.prepare_study(study)
    copy = shutil.copytree(study, tmp_path / "copy")
    prepare.prepare_study(copy)
    assert read_key(private / "key.tsv").patients["sub-new"] == "P02"


def test_what_earlier_versions_left_beside_the_pages_is_removed(private, monkeypatch, tmp_path):
    monkeypatch.setattr(dependencies, "ROOT", private.parent)
    outside = tmp_path / "elsewhere"
    outside.mkdir()
    (outside / "kept.nii.gz").touch()
    old = ["dataset/participants.tsv", "derivatives/sub-1/sub-1_cpm.nii.gz", "settings.json"]
    old += ["logs/sub-1.log", "snakemake.log", "model/trained/model.npz"]
    stay = ["html/index.html", "values.json", "surrogate-7/samples.tsv", "screenshots/1.png"]
    stay += ["surrogate-7-report/misses.json", "private/keys/1.tsv"]
    for name in old + stay:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "study").symlink_to(outside)
    private_folder.make_private_folder()
    assert not [name for name in (*old, "dataset", "model", "study") if (tmp_path / name).exists()]
    assert all((tmp_path / name).is_file() for name in stay)
    assert (outside / "kept.nii.gz").is_file(), "a link is removed, not what it leads to"


@pytest.fixture
def searched(private, tmp_path, monkeypatch):
    """Return the private folder of a study whose names of files say much."""
    import leaks

    study = tmp_path / "study"
    folder = study / "sub-MRN47" / "ses-19520109" / "anat"
    folder.mkdir(parents=True)
    (folder / "sub-MRN47_ses-19520109_acq-MuellerHans_FLAIR.nii.gz").touch()
    for pipeline in (
        "Klinikum-Rechts",
        "Mu\u0308nsterland",
    ):  # as some file systems write an umlaut
        (study / "derivatives" / pipeline).mkdir(parents=True)
    (private / "dataset").mkdir(parents=True)
    (private / "key.tsv").write_text(key_text(Key({"sub-MRN47": "P01"})))
    (private / "study").symlink_to(study)
    monkeypatch.setattr(leaks, "BUILD", private)
    return private


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("<p>P01 of 27 patients, sub-01 in an example</p>", []),
        ("<p>0.19520109 and dwi, ADC, annotations</p>", []),
        ("<p>read from ses-19520109</p>", ["19520109", "ses-19520109"]),
        ("<img alt='x_acq-MuellerHans_FLAIR'>", ["acq-muellerhans", "muellerhans"]),
        ("muellerhans,1,2", ["muellerhans"]),
        ("sub-mrn47 and MRN47", ["mrn47", "sub-mrn47"]),
        ("aus M\u00fcnsterland, mu\u0308nsterland", ["m\u00fcnsterland"]),
        ('{"text": "Klinikum-Rechts/x"}', ["klinikum", "klinikum-rechts", "rechts"]),
    ],
)
def test_pages_are_searched_for_names_of_the_study(searched, tmp_path, text, found):
    import leaks

    pages = tmp_path / "html"
    for name in (*leaks.WITHOUT_STUDY, "notebooks/12.html"):
        (pages / name).parent.mkdir(parents=True, exist_ok=True)
        (pages / name).write_text("<html>")
    description = searched / "dataset" / "dataset_description.json"
    description.write_text(json.dumps({"DataLabel": text}, ensure_ascii=False))
    (pages / "search.html").write_text(text)  # the label is on each page
    (pages / "notebooks" / "12.html").write_text(text)
    assert leaks.leaks(pages) == [
        (word, page) for page in ("notebooks/12.html", "search.html") for word in found
    ]


def test_values_are_searched_for_names_of_the_study_too(searched, tmp_path, monkeypatch, capsys):
    import values

    monkeypatch.setattr(values, "BUILD", searched)
    monkeypatch.setattr(values, "notebook_names", lambda: ["01_cohort"])
    description = {"Name": "A study", values.RELATION: "other"}
    for place, content in (
        ("dataset/dataset_description.json", description),
        ("options.json", {}),
        ("site/notebooks/01_cohort_files/values.json", {"values": {}, "tables": {"a": "MRN47"}}),
    ):
        path = searched / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))
    target = tmp_path / "values.json"
    assert values.main(str(target)) == 1
    assert "found 'mrn47'" in capsys.readouterr().out
    assert not list(tmp_path.glob("values.json*"))
    path.write_text(json.dumps({"values": {}, "tables": {"a": "P01"}}))
    assert values.main(str(target)) == 0
    assert target.is_file()
