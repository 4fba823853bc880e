"""What the workflow made of a study's images, for the notebooks: by pseudonym, no path in sight.

Patients and samples go by their pseudonyms (P01, S01), images by their kind
(`cpmlib.study.names.KINDS`). A map that was made goes before a file of the study.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np
import pandas as pd

from cpmlib.book.markup import typeset
from cpmlib.book.patient_pictures import CASES, PICTURES, read_pictures
from cpmlib.book.quality import several_origins, unlike_the_others
from cpmlib.figures.quality import QualityRow
from cpmlib.figures.representative import SHOWN, CaseImages
from cpmlib.figures.roi import RoiPanel
from cpmlib.histology.he_tiles import read_tile
from cpmlib.mri.images import read_image
from cpmlib.study.derivatives import FOLDER, MADE
from cpmlib.study.files import PatientFiles, find_patient
from cpmlib.study.names import KINDS
from cpmlib.study.options import AXES, ROI_DIAMETER, ImageOptions
from cpmlib.study.pseudonyms import replace_names

if TYPE_CHECKING:
    from cpmlib.cpm.model_file import CpmModel
    from cpmlib.roi.walkthrough import Walkthrough

_LIKE_A_NAME = re.compile(
    r"[\w./-]*(?<![A-Za-z0-9])(?:sub|ses|sample)-[A-Za-z0-9][\w./-]*"
    r"|[\w./-]*(?:_(?:{0})-[A-Za-z0-9]|(?<![A-Za-z0-9])(?:{0})-[A-Za-z0-9]+_)[\w./-]*"
    r"|(?<![\w./-])(?!(?:participants|samples|dataset_description)\.)"
    r"[\w./-]+\.(?:nii|gz|tsv|csv|txt|json|geojson|png|bval|bvec|xlsx|npz)\b".replace(
        "{0}", "acq|run|task|dir|rec|ce|echo"
    ),
    re.IGNORECASE,
)
"""A name of a file, by the entities of BIDS or by its end; but not those of a study's tables."""

_OWN_WORDS = re.compile(r" ?“[^”]*”")
"""What `cpmlib.study.errors.own_words` quotes."""


class StudyImages:
    """The images behind a sample table.

    Parameters
    ----------
    build
        Folder that the workflow writes to.

    Attributes
    ----------
    patients : list of str
        Those that have images or exports.

    Examples
    --------
    >>> StudyImages("nowhere").patients
    []
    """

    def __init__(self, build: str | os.PathLike[str]) -> None:
        self.build = Path(build)
        index = self.build / "dataset" / "images.json"
        self._index = json.loads(index.read_text("utf-8")) if index.is_file() else {}
        self.patients: list[str] = list(self._index)
        self._files: dict[str, PatientFiles] = {}

    def files(self, patient: str) -> PatientFiles:
        """Return the study's files of a patient; samples go by their names in the files."""
        if patient not in self._files:
            entry = self._index[patient]
            uncounted = set(entry.get("uncounted", []))
            names = [name for name in entry["samples"].values() if name not in uncounted]
            self._files[patient] = find_patient(
                self.build / "study", entry["folder"], names, uncounted=uncounted, checked=True
            )
        return self._files[patient]

    def image(self, patient: str, kind: str) -> nib.Nifti1Image | None:
        """Return an image of a patient, or None if there is none of this kind."""
        name = self._index[patient]["folder"]
        if kind in MADE:
            path = self.build / FOLDER / name / MADE[kind].path.format(name)
            if path.is_file():
                return read_image(path)
        path = self.files(patient).images.get(kind, Path())
        return read_image(path) if path.is_file() else None

    def tile(self, patient: str, sample: str) -> tuple[np.ndarray, float] | None:
        """Return a sample's H&E tile, (rows, columns, 3) uint8, and its pixel size in um."""
        own = self._index[patient]["samples"][sample]
        return read_tile(self.files(patient).exports.get(own, {}))

    def case(self, row: Mapping[str, Any], diameter: float = ROI_DIAMETER) -> CaseImages | None:
        """Return what is shown of a representative case.

        Parameters
        ----------
        row
            Of the sample table.
        diameter
            Of the sphere that is drawn, mm.

        Returns
        -------
        CaseImages or None
            None if the patient has no images or the sample no target.
        """
        patient, target = row["participant_id"], np.array([row[axis] for axis in AXES])
        if patient not in self.patients or np.isnan(target.astype(float)).any():
            return None
        images = {kind: self.image(patient, kind) for kind in (*SHOWN, "T1w", "mask")}
        if all(images[kind] is None for kind in SHOWN):
            return None
        tile = self.tile(patient, row["sample_id"])
        name = str(row["case"])
        if tile is None:
            return CaseImages(name, target, images, diameter=diameter)
        return CaseImages(name, target, images, *tile, diameter)

    def cases(self, cases: pd.DataFrame, diameter: float) -> dict[str, CaseImages | None]:
        """Return `case` of each row by the case's name."""
        return {row["case"]: self.case(dict(row), diameter) for _, row in cases.iterrows()}

    def packed_cases(self, cases: pd.DataFrame) -> dict[str, dict[str, Any]]:
        """Return by each case's name what its patient's job made of its images.

        ``findings`` (`cpmlib.roi.findings.findings_at`) and, where there is anatomy, ``viewer``
        (`cpmlib.book.viewer.viewer_data`); empty without images.
        """
        packed: dict[str, dict[str, Any]] = {name: {} for name in cases["case"]}
        for row in cases[cases["participant_id"].isin(self.patients)].to_dict("records"):
            entry = self._index[row["participant_id"]]
            path = self.build / "patients" / entry["folder"] / CASES
            made = json.loads(path.read_text("utf-8"))
            packed[row["case"]] = made.get(entry["samples"][row["sample_id"]], {})
        return packed

    def walkthrough(self, samples: pd.DataFrame, options: ImageOptions) -> Walkthrough:
        """Return the steps of the patient of whom they were kept; empty where there is none.

        ``samples`` is the sample table, ``options`` are those of the build.
        """
        from cpmlib.mri.patient import read_patient
        from cpmlib.roi.steps_file import STEPS, read_steps
        from cpmlib.roi.walkthrough import Walkthrough

        for patient, entry in self._index.items():
            path = self.build / "patients" / entry["folder"] / STEPS
            if path.is_file():
                maps, regions = read_steps(path)
                names = {old: new for new, old in entry["samples"].items()}
                regions["sample_id"] = regions["sample_id"].map(names)
                rows = samples[samples["participant_id"] == patient].reset_index(drop=True)
                read = read_patient(self.files(patient))
                return Walkthrough(patient, rows, read, maps, regions, options)
        return Walkthrough()

    def model(self) -> CpmModel | None:
        """Return the model that predicted the study's maps.

        None where no map was predicted, whatever models earlier builds left.
        """
        from cpmlib.cpm.model_file import read_model

        folder = self._model_folder()
        return read_model(folder / "model.npz") if folder else None

    def held_out(self) -> pd.DataFrame | None:
        """Return the patches of the patients who tested the model, if it was trained here."""
        folder = self._model_folder()
        path = folder / "held_out.tsv" if folder else None
        return pd.read_csv(path, sep="\t") if path and path.is_file() else None

    def _model_folder(self) -> Path | None:
        for patient in self.patients:
            name = self.report(patient).get("model")
            if name:
                return self.build / "model" / str(name)
        return None

    def origins(self) -> pd.DataFrame:
        """Return for each sample and measured column where its value came from."""
        path = self.build / "dataset" / "origins.tsv"
        columns = ["sample_id", "quantity", "used", "source", "given", "extracted", "note"]
        if not path.is_file():
            return pd.DataFrame(columns=columns)
        table = pd.read_csv(path, sep="\t", na_values="n/a", dtype={"sample_id": str})
        return table.replace(_LIKE_A_NAME, "a file", regex=True)

    def table(self, name: str) -> pd.DataFrame:
        """Join one table of every patient: ``"samples"`` (regions) or ``"sensitivity"``.

        Returns
        -------
        pandas.DataFrame
            With ``participant_id`` and, where the table has it, ``sample_id`` as pseudonyms.
        """
        tables = []
        for patient, entry in self._index.items():
            path = self.build / "patients" / entry["folder"] / f"{name}.tsv"
            table = pd.read_csv(path, sep="\t", na_values="n/a", dtype={"sample_id": str})
            names = {old: new for new, old in entry["samples"].items()}
            if "sample_id" in table.columns:
                table["sample_id"] = table["sample_id"].map(names)
            for column in table.columns:
                if column != "sample_id" and pd.api.types.is_string_dtype(table[column].dropna()):
                    texts = table[column].dropna().unique()
                    said = {text: self.pseudonymous(patient, text) for text in texts}
                    table[column] = table[column].map(said)
            tables.append(table.assign(participant_id=patient))
        return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()

    def report(self, patient: str) -> dict[str, object]:
        """Return what was noted of a patient: ``maps``, ``model``, ``notes``, ``quality``."""
        path = self.build / "patients" / self._index[patient]["folder"] / "report.json"
        content: dict[str, object] = json.loads(path.read_text("utf-8"))
        return content

    def pseudonymous(self, patient: str, text: str) -> str:
        """Put what a file is in place of its name in a text, and pseudonyms in that of identifiers.

        A name of a file that is not among the patient's becomes "a file".
        """
        entry = self._index[patient]
        own = {entry["folder"]: patient, **{old: new for new, old in entry["samples"].items()}}
        kinds = _kinds_of_names(self.files(patient))
        text = replace_names(text, {n: replace_names(kinds[n], own) for n in kinds} | own)
        return typeset(_LIKE_A_NAME.sub("a file", _OWN_WORDS.sub("", text)))

    def notes(self) -> pd.DataFrame:
        """Return what was noted of every patient: ``participant_id`` and ``note``, one a row."""
        rows = []
        for patient in self.patients:
            report: Any = self.report(patient)
            rows += [(patient, self.pseudonymous(patient, note)) for note in report["notes"]]
        rows += unlike_the_others(self.quality())
        reports: dict[str, Any] = {who: self.report(who) for who in self.patients}
        rows += several_origins({who: r.get("origins", {}) for who, r in reports.items()})
        return pd.DataFrame(rows, columns=["participant_id", "note"])

    def mirrored(self) -> list[bool]:
        """Return for each patient whose targets could be judged whether they look mirrored."""
        judged = [self.report(patient).get("mirrored") for patient in self.patients]
        return [bool(answer) for answer in judged if answer is not None]

    def quality_row(self, patient: str) -> QualityRow | None:
        """Return a patient's row of the quality figure; None for one without images."""
        path = self.build / "patients" / self._index[patient]["folder"] / PICTURES
        return read_pictures(path, patient, {})[0] if path.is_file() else None

    def quality_rows(self) -> list[QualityRow]:
        """Return the rows of the quality figure, one for each patient with images."""
        rows = map(self.quality_row, self.patients)
        return [row for row in rows if row is not None]

    def roi_panels(self) -> list[RoiPanel]:
        """Return each target on its slice, with the names that the book uses."""
        panels: list[RoiPanel] = []
        for patient, entry in self._index.items():
            path = self.build / "patients" / entry["folder"] / PICTURES
            names = {old: new for new, old in entry["samples"].items()}
            if path.is_file():
                panels += read_pictures(path, patient, names)[1]
        return panels

    def quality(self) -> pd.DataFrame:
        """Return the maps and numbers of all patients, one row each."""
        rows = []
        for patient in self.patients:
            report: Any = self.report(patient)
            maps = "; ".join(
                f"{kind}: {origin}" for kind, origin in report.get("origins", {}).items()
            )
            rows.append({"participant_id": patient, "maps": maps, **report["quality"]})
        # A page shows the table of a study without images too, and it needs a header.
        return pd.DataFrame(rows or {"participant_id": [], "maps": []})


def _kinds_of_names(files: PatientFiles) -> dict[str, str]:
    """Return what each file of a patient is, by its name."""
    names = {path.name: KINDS[kind].description for kind, path in files.images.items()}
    for kind, texts in files.texts.items():
        names |= {
            path.name: f"{end} of {KINDS[kind].description}"
            for end, found in texts.items()
            for path in found
        }
    for sample, exports in files.exports.items():
        for kind, path in exports.items():
            names[path.name] = f"{kind.replace('_', ' ')} of {sample}"
    return names
