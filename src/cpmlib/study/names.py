"""What the name of a file says that it holds, also where it is not the name that is asked for.

Vocabulary
----------
- *kind*: what a file holds, whatever its name: one of `KINDS`.
- *stem*: a name without the suffix that says how the file is written.
- *plain name*: in small letters, without leading zeros; names that agree so are one name.
- *placeholder*: what git-annex, DataLad or Git LFS leave where a file's content was not fetched.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from cpmlib.study.errors import Problem, fault

KINDS: Mapping[str, str] = {
    "T1w": "T1-weighted image",
    "T1wGd": "T1-weighted image after gadolinium",
    "FLAIR": "FLAIR",
    "ADC": "apparent diffusion coefficient",
    "dwi": "diffusion series",
    "dsc": "dynamic susceptibility contrast series",
    "rCBV": "relative cerebral blood volume",
    "CPM": "cellularity prediction map",
    "mask": "brain mask",
}

PATTERNS: Mapping[str, str] = {
    "T1w": r"(?!.*_ce-)(?!.*_space-)sub-[^_]+(_.+)?_T1w",
    "T1wGd": r"(?!.*_space-)sub-.*_ce-(?!none|no_|pre|native|without)[A-Za-z0-9]+(_.*)?_T1w",
    "FLAIR": r"(?!.*_space-)sub-.*_FLAIR",
    "ADC": r"sub-.*_(ADC|adc)(map)?",
    "dwi": r"sub-.*_dwi",
    "dsc": r"sub-.*_(dsc|DSC)",
    "rCBV": r"(?!.*_desc-uncorrected_)sub-.*_(rcbv|rCBV|RCBV)(map)?",
    "CPM": r"sub-.*_(cpm|CPM)(map)?",
    "mask": r"sub-.*_desc-brain_mask",
}
"""Kind and the names it may have, without suffix, in small letters or capitals."""

RAW_KINDS = ("T1w", "T1wGd", "FLAIR", "ADC", "dwi", "dsc", "rCBV")
DERIVED_KINDS = ("ADC", "rCBV", "CPM", "mask")

EXPORTS: Mapping[str, tuple[str, ...]] = {
    "annotations": ("_annotations.tsv", "_annotations.csv", "_annotations.txt"),
    "detections": ("_detections.tsv", "_detections.csv", "_detections.txt"),
    "geojson": (".geojson", "_outline.geojson", "_annotations.geojson"),
    "annotations_sidecar": ("_annotations.json",),
    "detections_sidecar": ("_detections.json",),
    "geojson_sidecar": (".json", "_outline.json"),
    "tile": ("_he.png",),
    "tile_sidecar": ("_he.json",),
}
"""Kind of a QuPath export, or of the JSON beside it, and the end of the name after the sample's."""

SIDECARS = ("annotations_sidecar", "detections_sidecar", "geojson_sidecar")
"""JSON beside an export, which may give its pixel size; a tile's pixels can be others."""

RIGHT_NAMES: Mapping[str, str] = {
    "T1w": "{0}/anat/{0}_T1w.nii.gz",
    "T1wGd": "{0}/anat/{0}_ce-gadolinium_T1w.nii.gz",
    "FLAIR": "{0}/anat/{0}_FLAIR.nii.gz",
    "ADC": "{0}/dwi/{0}_ADC.nii.gz",
    "dwi": "{0}/dwi/{0}_dwi.nii.gz",
    "dsc": "{0}/perf/{0}_dsc.nii.gz",
    "rCBV": "{0}/perf/{0}_rcbv.nii.gz",
    "CPM": "derivatives/<pipeline>/{0}/{0}_cpm.nii.gz",
    "mask": "derivatives/<pipeline>/{0}/{0}_desc-brain_mask.nii.gz",
}

DERIVATIVES = "derivatives"
COUNTED = ("annotations", "detections", "geojson")
"""Kinds of export that cells are counted from."""
STANDS_FOR = {"dwi": "ADC", "dsc": "rCBV", "T1w": "CPM", "T1wGd": "CPM", "FLAIR": "CPM"}
"""Kind that is not missed where the study has what would be made of it."""
NOT_NEEDED = "nothing in it is needed"
"""Why the texts beside images are not read."""
SERIES = ("dwi", "dsc")
TEXTS = ("json", "bval", "bvec")
"""Suffixes of the texts that describe a series."""
NIFTI = (".nii.gz", ".nii")

OTHER_FORMATS = (
    *(".nii.bz2", ".nii.xz", ".nii.zip", ".nii.zst", ".img.gz", ".img", ".hdr", ".mgz", ".mgh"),
    *(".mha", ".mhd", ".nrrd", ".nhdr", ".mif", ".mif.gz", ".mnc"),
    *(".dcm", ".ima", ".head", ".brik"),
)

SET_ASIDE = (
    *("", ".gz", ".bz2", ".xz", ".zip"),
    *(".bak", ".old", ".orig", ".part", ".tmp", ".npy", ".npz"),
)
"""Suffixes of what may be an image that was packed, put aside or not copied to its end."""

TABLES = (".tsv", ".csv", ".txt", ".xlsx", ".xls", ".geojson")
OWN_TABLES = ("participants.tsv", "samples.tsv")
PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".svs", ".ndpi", ".mrxs", ".qptiff", ".svg")

_T1 = r"t1|t1w|mprage|mp2rage|spgr|bravo"
_AFTER = r"(?:plus|with|after|mit)?(?:gd|km|ce|contrast)|gad[a-z]*|post(?!-?op)[a-z]*"
_AFTER += r"|enhanced|dotarem|prohance"
LOOKS: Mapping[str, str] = {
    "CPM": r"cpm|cellular|cell|nucle|density|pathomic|predict",
    "mask": r"brain.*mask|mask.*brain|\bmask\b",
    "FLAIR": r"flair|\bt2f\b|dark-?fluid",
    "T1wGd": rf"\b({_T1})-?({_AFTER}|c)\b|\b({_T1})\b.*\b({_AFTER})\b|\b({_AFTER})\b.*\b({_T1})\b",
    "T1w": rf"\b({_T1}|t1n)\b",
    "rCBV": r"cbv|blood-?volume",
    "ADC": r"adc|\bmd\b|diffusivity|diffusion-?coeff",
    "dsc": r"dsc|bolus|\bpwi\b|\bperf",
    "dwi": r"dwi|\bdti\b|diffusion|trace",
}
"""Kind and what in a name hints at it; the first that does."""

TEMPLATE = r"_space-(mni|icbm|tal|oasis|nki|fsaverage|fslr|uncinfant|suit|colin|template)"
"""A space that is no patient's scanner, in which no target lies."""
_OTHER_MASK = r"^(?!.*brain).*\b(desc|label|roi)-"

OTHERS: Mapping[str, str] = {
    "T2-weighted image": r"t2w|t2starw|t2|pdw|pdt2|inplanet2",
    "susceptibility-weighted image": r"swi|gre|minip|qsm",
    "functional MRI": r"bold|sbref|events|physio|stim|boldref|timeseries|regressors",
    "field map": r"phasediff|magnitude[12]?|phase[12]?|fieldmap|epi|tb1\w+",
    "arterial spin labelling": r"asl|m0scan|aslcontext|asllabeling|cbf",
    "angiogram": r"angio|mra|tof",
    "quantitative map": r"[tr][12]\w*map|mtrmap|mtsat|unit1|pdmap",
    "other map of diffusion": r"fa|ad|rd|colfa|fodf?|tensor|eadc|s0",
    "map of a model's extrapolation": r"extrapolation",
    "goodness of a fit": r"r2",
    "segmentation": r"dseg|probseg|seg|aseg|aparc",
    "transformation": r"xfm|warp|affine|transform",
    "other scan": r"ct|pet|meg|eeg|photo",
}
"""Kind of an image that nothing here needs, and the suffixes of BIDS (the last part of a stem)."""

EXPORT = r"annotation|detection|measurement|nuclei|outline|qupath"
"""Hints in the name of a table that it is an export of QuPath."""
_POINTERS = (b"/annex/objects/", b"version https://git-lfs.github.com/")
_MAX_POINTER_BYTES = 32768


def stem_of(name: str) -> tuple[str, str]:
    """Part a name into its stem and its suffix, the latter in small letters.

    Examples
    --------
    >>> stem_of("sub-01_acq-1.5T_T1w.NII.GZ")
    ('sub-01_acq-1.5T_T1w', '.nii.gz')
    >>> stem_of("sub-01_dwi.bval")
    ('sub-01_dwi', '.bval')
    """
    lower = name.lower()
    known = [end for end in (*NIFTI, *OTHER_FORMATS) if lower.endswith(end)]
    suffix = max(known, key=len) if known else Path(lower).suffix
    return name[: len(name) - len(suffix)], suffix


def plain_name(name: str) -> str:
    """Bring names that differ in capitals or leading zeros to one spelling.

    Examples
    --------
    >>> plain_name("Sample-01") == plain_name("sample-1")
    True
    """
    head, mark, label = name.lower().rpartition("-")
    return head + mark + re.sub(r"^0+(?=.)", "", label)


def looks_like(stem: str) -> str | None:
    """Return the kind that a name without suffix hints at, whether or not it is a right name.

    None where the name says something else or nothing.

    Examples
    --------
    >>> looks_like("sub-01_desc-cellularity_map"), looks_like("sub-01_T2-FLAIR")
    ('CPM', 'FLAIR')
    >>> looks_like("sub-01_T2w") is None
    True
    """
    if other_kind(stem):
        return None
    words = _words(stem)
    found = next((kind for kind, hint in LOOKS.items() if re.search(hint, words)), None)
    of_something = "mask" in words and "brain" not in words
    if found == "mask":
        of_something = re.search(_OTHER_MASK, words) is not None
    return None if of_something else found


def in_template(stem: str) -> bool:
    """Whether a name says that an image lies in a template's space.

    Examples
    --------
    >>> in_template("sub-01_space-MNI152NLin6Asym_cpm"), in_template("sub-01_space-T1w_cpm")
    (True, False)
    """
    return re.search(TEMPLATE, stem.lower()) is not None


def other_kind(stem: str) -> str | None:
    """Name the kind of an image that nothing here needs; None if the name does not tell.

    Examples
    --------
    >>> other_kind("sub-01_T2w")
    'T2-weighted image'
    """
    last = stem.lower().rpartition("_")[2]
    if "desc-uncorrected_" in stem and "cbv" in last:
        return "blood volume without correction for leakage"
    named = (kind for kind, names in OTHERS.items() if re.fullmatch(names, last))
    return next(named, None)


def is_geojson(path: Path) -> bool:
    """Whether a JSON file holds outlines, by its beginning: a list, or features."""
    begin = _begin(path, 4096).decode("utf-8", "replace").lstrip("\ufeff \t\r\n")
    if begin.startswith("["):
        return True
    return bool(re.search(r'"type"\s*:\s*"Feature(Collection)?"|"features"\s*:\s*\[', begin))


def is_placeholder(path: Path) -> bool:
    """Whether a file's content was not fetched: a link to nowhere, or a pointer in its place."""
    if not path.exists():
        return path.is_symlink()
    small = path.is_file() and 0 < path.stat().st_size <= _MAX_POINTER_BYTES
    return small and _begin(path, len(max(_POINTERS, key=len))).startswith(_POINTERS)


def _begin(path: Path, size: int) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(size)
    except OSError:  # whoever reads it says why
        return b""


def not_fetched(path: Path, root: Path) -> Problem:
    """Name a file of which `is_placeholder` is true."""
    if path.is_symlink() and not path.exists():
        found = "a link to nowhere"
    else:
        found = "a placeholder of git-annex or Git LFS, whose content was not fetched"
    remedy = "fetch it (datalad get, git annex get, git lfs pull), or delete it"
    return Problem(path.relative_to(root).as_posix(), found, "a file", remedy)


def inherited(root: Path, series: Path, problems: list[Problem]) -> dict[str, list[Path]]:
    """Return the texts that describe a series, those nearest to it last.

    BIDS lets a text lie in any folder from the series' own up to the dataset's, if its name has
    the same last part and no entity that the series' name has not.

    Examples
    --------
    >>> inherited(Path("nowhere"), Path("nowhere/sub-01/dwi/sub-01_dwi.nii.gz"), [])
    {'json': [], 'bval': [], 'bvec': []}
    """
    *entities, last = stem_of(series.name)[0].lower().split("_")
    found: dict[str, list[Path]] = {end: [] for end in TEXTS}
    inside = series.relative_to(root).parts[:-1]
    for folder in [root.joinpath(*inside[:depth]) for depth in range(len(inside) + 1)]:
        here: dict[str, list[Path]] = {end: [] for end in TEXTS}
        for path in entries(folder):
            stem, suffix = stem_of(path.name)
            *own, name = stem.lower().split("_")
            if suffix[1:] in here and name == last and set(own) <= set(entities):
                here[suffix[1:]].append(path)
        for end, paths in here.items():
            problems += [not_fetched(path, root) for path in paths if is_placeholder(path)]
            if len(paths) > 1:
                names = ", ".join(path.name for path in paths)
                expected = f"one {end} in a folder for {series.name}"
                problems.append(Problem(series.name, names, expected, "leave one in place"))
            found[end] += paths
    return found


def entries(folder: Path) -> list[Path]:
    """Return what lies in a folder, sorted; nothing if there is none."""
    return sorted(folder.iterdir()) if folder.is_dir() else []


def files_below(folder: Path) -> list[Path]:
    """Return every file below a folder, through links and with links to nowhere; no hidden one.

    Raises
    ------
    DatasetError
        If a folder cannot be read.
    """

    def unreadable(error: OSError) -> None:
        found = error.strerror or "a folder that cannot be read"
        name = Path(error.filename or folder).name
        raise fault(name, found, "a readable folder", "correct its permissions")

    if not folder.is_dir():
        return []
    found, seen = [], set()
    for here, folders, names in os.walk(folder, onerror=unreadable, followlinks=True):
        real = os.path.realpath(here)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [Path(here, name) for name in names if not name.startswith(".")]
    return sorted(found)


def _words(stem: str) -> str:
    """Return a stem as words, without the patient and the space, which say nothing of a kind."""
    return re.sub(r"^sub-[a-z0-9]+|_space-[a-z0-9]+|[_.]", " ", stem.lower()).strip()
