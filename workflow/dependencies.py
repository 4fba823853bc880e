"""Which files a notebook or script depends on: the library modules that it imports, and theirs."""

from __future__ import annotations

import ast
import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

from cpmlib.mri.images import CONTRASTS
from cpmlib.study.files import PatientFiles, find_patient
from cpmlib.study.schemas import wanted

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT / "build"
"""What a build is for: pages and values. They hold pseudonyms alone and may be given away."""
BUILD_NAME = "build/private"
BUILD = ROOT / BUILD_NAME
"""Everything else that is built: it holds identifiers, or names of files."""
SOLUTION = ROOT / "data" / "surrogate_solution.json"
"""How the images of the default cohort were solved."""
GIVEN_MODEL = BUILD / "given_model.npz"
"""Copy of the model that a study brings."""
PACKAGES = ("cpmlib", "cpmsurrogate")
SRC = ROOT / "src"
TABLES = ("dataset_description.json", "participants.tsv", "samples.tsv")
"""The tables of a BIDS folder that the workflow reads."""
OPTIONAL = ("samples.json",)
"""Read too if it is there: it may say that targets are LPS."""

_CELL = re.compile(r"^```\{code-cell\}[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
_CELL_OPTIONS = re.compile(r"\A(:[^\n]*\n|---\n.*?\n---\n)+", re.DOTALL)


def notebook_names() -> list[str]:
    """Return the notebooks, in reading order."""
    return sorted(path.stem for path in (ROOT / "notebooks").glob("[0-9][0-9]_*.md"))


def book_files() -> list[str]:
    """Return everything under ``book/``."""
    paths = (ROOT / "book").rglob("*")
    return sorted(str(p.relative_to(ROOT)) for p in paths if p.is_file())


def source_files(dataset: str) -> list[str]:
    """Return the files that the workflow reads of a dataset, by its path from the project."""
    path = ROOT / dataset
    if not path.is_dir():
        return [dataset]
    optional = [name for name in OPTIONAL if (path / name).is_file()]
    return [f"{dataset}/{name}" for name in (*TABLES, *optional)]


def settings() -> dict[str, Any]:
    """Return what the driver was asked to build: dataset, profile, origin of the model."""
    content: dict[str, Any] = json.loads((BUILD / "settings.json").read_text("utf-8"))
    return content


def patients() -> list[str]:
    """Return the patients of the prepared study that have images or exports."""
    return sorted(path.stem for path in (BUILD / "targets").glob("sub-*.tsv"))


def read_targets(patient: str) -> pd.DataFrame:
    """Return a patient's rows: identifiers, targets (mm, RAS+), values and reasons of the table."""
    path = BUILD / "targets" / f"{patient}.tsv"
    return pd.read_csv(path, sep="\t", na_values="n/a", keep_default_na=False)


def read_calibrated(patient: str) -> pd.DataFrame:
    """Return a synthetic patient's rows of the calibrated table, the patient's columns joined."""
    path = BUILD / "calibrated" / f"{patient}.tsv"
    return pd.read_csv(path, sep="\t", na_values="n/a", keep_default_na=False)


def study_patient(patient: str) -> PatientFiles:
    """Return the files of a patient of the prepared study."""
    targets = read_targets(patient)
    counted = wanted(targets, "he_cellularity")
    names, uncounted = targets.loc[counted, "sample_id"], targets.loc[~counted, "sample_id"]
    return find_patient(BUILD / "study", patient, names, uncounted=uncounted, checked=True)


def needs_model(files: PatientFiles) -> bool:
    """Whether a patient's cellularity map has to be predicted, and can be."""
    kinds = set(files.images)
    if "dwi" in kinds:
        kinds.add("ADC")
    return "CPM" not in kinds and kinds >= set(CONTRASTS)


def image_jobs(chosen: list[str]) -> bool:
    """Whether the map of one of these patients has to be predicted."""
    if settings()["surrogate"]:
        return bool(chosen)
    return any(needs_model(study_patient(who)) for who in chosen)


def model_scaling() -> str:
    """Return how the model's inputs must have been scaled, for the chosen normalisation."""
    options = json.loads((BUILD / "image_options.json").read_text("utf-8"))
    return "whole-brain-SD" if options["cpm_normalise"] == "input" else "none"


def library_files(script: str | None) -> list[str]:
    """Return the library modules that a notebook or script needs, directly or through others.

    Parameters
    ----------
    script
        Path from the project's folder, ``.py`` or MyST ``.md``; None for the whole library.

    Returns
    -------
    list of str
        Paths from the project's folder.
    """
    if script is None:
        kinds = (".py", ".html", ".css", ".js", ".toml")
        paths = [p for name in PACKAGES for p in (SRC / name).rglob("*") if p.suffix in kinds]
        return sorted(str(p.relative_to(ROOT)) for p in paths)
    found: set[Path] = set()
    waiting = set().union(*map(_files_of, _names(code_of(ROOT / script))))
    while waiting:
        module = waiting.pop()
        if module not in found:
            found.add(module)
            if module.suffix == ".py":
                waiting |= imported_by(module) - found
    return sorted(str(p.relative_to(ROOT)) for p in found)


def imported_names(script: str) -> set[str]:
    """Return what a notebook or script and its library modules name in imports, dotted."""
    return _names(code_of(ROOT / script)).union(
        *(names_in(ROOT / path) for path in library_files(script) if path.endswith(".py"))
    )


def code_of(path: Path) -> str:
    """Return the code of a ``.py`` file, or of the cells of a MyST ``.md`` notebook."""
    source = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        source = "\n".join(_CELL_OPTIONS.sub("", cell) for cell in _CELL.findall(source))
    return source


@cache
def imported_by(module: Path) -> frozenset[Path]:
    """Return the library modules that a module imports, with their packages."""
    return frozenset().union(*map(_files_of, names_in(module)))


@cache
def names_in(module: Path) -> frozenset[str]:
    """Return what a module names in its imports, dotted."""
    return frozenset(_names(module.read_text(encoding="utf-8")))


def _names(source: str) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def _files_of(name: str) -> set[Path]:
    parts = name.split(".")
    if parts[0] not in PACKAGES:
        return set()
    found = set()
    for depth in range(1, len(parts) + 1):
        stem = SRC.joinpath(*parts[:depth])
        # Beside a module may lie what it reads, under the same name: a template, a style, a script.
        beside = [stem.with_suffix(end) for end in (".html", ".css", ".js", ".toml")]
        for path in (stem.with_suffix(".py"), stem / "__init__.py", *beside):
            if path.is_file():
                found.add(path)
    return found
