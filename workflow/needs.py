"""What a notebook needs besides the modules that it imports, as its header declares it.

In ``notebooks/NAME.md``, every line of it optional:

    needs:
      data: [data/published-values.tsv]   files or patterns, from the project's folder
      images: true                        maps and images of the patients, not their results alone
      model: true                         the model that predicts their maps
      patients: cases                     all, cases, first (shown step by step) or none
      made: [analysed_cohorts.json]       what a job of its own makes in build/private
      study: false                        the page is not about the dataset that is built
      values_of: [01_cohort]              other notebooks, whose values it reads
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from itertools import islice
from typing import Any

import pandas as pd
import yaml

import dependencies
from cpmlib.study.delimited import column_name
from cpmlib.study.derivatives import FOLDER
from cpmlib.study.errors import DatasetError, Problem
from dependencies import BUILD_NAME, ROOT, notebook_names, patients, settings, study_patient

PATIENTS = ("all", "cases", "first", "none")


@dataclass(frozen=True)
class Needs:
    """What one notebook declares; the defaults are those of a page of statistics."""

    data: tuple[str, ...] = ()
    images: bool = False
    model: bool = False
    patients: str = "none"
    made: tuple[str, ...] = ()
    study: bool = True
    values_of: tuple[str, ...] = ()


def read_needs(name: str) -> Needs:
    """Return what a notebook declares; raise a DatasetError that names it if that is wrong."""
    declared = _declared(name)
    known = {field.name: type(field.default) for field in fields(Needs)}
    for key, value in declared.items():
        shown = f"needs: {key}: {value}"
        if key not in known:
            raise _wrong(name, shown, f"one of {', '.join(known)}")
        if not isinstance(value, list if known[key] is tuple else known[key]):
            kind = {tuple: "a list", bool: "true or false", str: "a word"}[known[key]]
            raise _wrong(name, shown, kind)
    needs = Needs(**{k: tuple(v) if isinstance(v, list) else v for k, v in declared.items()})
    if needs.patients not in PATIENTS:
        raise _wrong(name, f"needs: patients: {needs.patients}", f"one of {', '.join(PATIENTS)}")
    others = {*notebook_names()} - {name}
    for other in needs.values_of:
        if other not in others:
            raise _wrong(name, f"needs: values_of: {other}", "the names of other notebooks")
    for pattern in needs.data:
        if not _files(str(pattern)):
            raise _wrong(name, f"needs: data: {pattern}", "files of the project")
    return needs


def _declared(name: str) -> dict[str, Any]:
    header = (ROOT / "notebooks" / f"{name}.md").read_text("utf-8").split("---\n", 2)
    try:
        declared = (yaml.safe_load(header[1]) if len(header) == 3 else {}).get("needs", {})
    except (yaml.YAMLError, AttributeError):
        raise _wrong(name, "a header that is no YAML", "YAML between two lines ---") from None
    if not isinstance(declared, dict):
        raise _wrong(name, f"needs: {declared}", "a name and a value on each line")
    return declared


def _wrong(name: str, found: str, expected: str) -> DatasetError:
    remedy = "correct the header of the notebook; workflow/needs.py lists what it may hold"
    return DatasetError(Problem(f"notebooks/{name}.md", found, expected, remedy))


def _files(pattern: str) -> list[str]:
    try:
        paths = [path for path in ROOT.glob(pattern) if path.is_file() and ".." not in path.parts]
    except (ValueError, NotImplementedError):  # no pattern, or one that starts at the root
        return []
    return sorted(str(path.relative_to(ROOT)) for path in paths)


def data_files(name: str) -> list[str]:
    """Return the project's files that a notebook reads besides the dataset."""
    return [path for pattern in read_needs(name).data for path in _files(pattern)]


def option_files(name: str) -> list[str]:
    """Return the files with the chosen options, if the notebook opens a page that reads them."""
    if "src/cpmlib/book/page.py" not in dependencies.library_files(f"notebooks/{name}.md"):
        return []
    return [f"{BUILD_NAME}/options.json", f"{BUILD_NAME}/image_options.json"]


def shown_patients(name: str) -> list[str]:
    """Return the patients whose results a notebook reads."""
    wanted, known = read_needs(name).patients, patients()
    if wanted in ("all", "none"):
        return known if wanted == "all" else []
    source = dependencies.BUILD / "source" / "samples.tsv"
    if not source.is_file():
        return []
    table = pd.read_csv(source, sep="\t", na_values="n/a", keep_default_na=False, dtype=str)
    table = table.rename(columns=column_name)
    if "exclude_reason" in table:
        table = table[table["exclude_reason"].isna()]
    named = []
    if "case" in table:
        named = table.dropna(subset="case").sort_values("case")["participant_id"]
    cases = [who for who in dict.fromkeys(named) if who in known]
    if wanted == "cases":
        return cases
    chosen = [*cases, *known]
    if settings()["surrogate"]:  # its images are jobs; every patient has them
        return chosen[:1]
    pictured = (who for who in chosen if study_patient(who).images)  # others have exports alone
    return [*islice(pictured, 1)] or chosen[:1]


def shown_step_by_step() -> set[str]:
    """Return the patients of whom a notebook shows what their job did at each step."""
    first = [name for name in notebook_names() if _declared(name).get("patients") == "first"]
    return {patient for name in first for patient in shown_patients(name)}


def made_files(name: str) -> list[str]:
    """Return what a notebook reads that a job of its own makes."""
    return [f"{BUILD_NAME}/{made}" for made in read_needs(name).made]


def image_files(name: str) -> list[str]:
    """Return what a notebook reads of the results, maps and images of patients, and the model."""
    needs, shown = read_needs(name), shown_patients(name)
    found = [f"{BUILD_NAME}/patients/{patient}" for patient in shown]
    if needs.images:
        found += [f"{BUILD_NAME}/{FOLDER}/{patient}" for patient in shown]
        found += [path for patient in shown for path in raw_files(patient)]
    return found + (model_files(shown) if needs.model else [])


def raw_files(patient: str) -> list[str]:
    """Return the raw files of a patient: jobs of the workflow, or the list of the study's own.

    The list has their sizes and times. Names that a study gives to files are not for Snakemake: it
    takes braces in them for wildcards.
    """
    if settings()["surrogate"]:
        folder = f"{BUILD_NAME}/surrogate"
        return [f"{folder}/{patient}", f"{folder}/derivatives/qupath/{patient}"]
    return [f"{BUILD_NAME}/manifests/{patient}.tsv"]


def model_files(chosen: list[str]) -> list[str]:
    """Return the model that the maps of these patients need, if one has to be predicted."""
    needed = dependencies.image_jobs(chosen)
    return [f"{BUILD_NAME}/model/{dependencies.model_scaling()}"] if needed else []
