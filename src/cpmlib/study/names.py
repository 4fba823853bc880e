"""What the name of a file says that it holds, also where it is not the name that is asked for.

Vocabulary
----------
- *kind*: what a file holds, whatever its name, such as the T1 after gadolinium (`KINDS`), or nuclei
  that QuPath found (`EXPORTS`).
- *stem*: the name of a file without the suffix that says how it is written.
- *plain name*: a name in small letters, without leading zeros; names that agree so are one name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

_T1 = r"t1|t1w|mprage|mp2rage|spgr|bravo"
_AFTER = r"(?:plus|with|after|mit)?(?:gd|km|ce|contrast)|gad[a-z]*|post(?!-?op)[a-z]*"
_AFTER += r"|enhanced|dotarem|prohance"


class Kind(NamedTuple):
    """What an image holds, and how its files are known.

    The pattern fits stems, in small letters or capitals; the right name has {0} for the patient;
    the hint is in names that may be meant so. A kind is not missed where there is what is made of
    it.
    """

    description: str
    pattern: str
    right_name: str
    hint: str
    made_of_it: str = ""
    raw: bool = True
    derived: bool = False


KINDS: Mapping[str, Kind] = {
    "T1w": Kind(
        "T1-weighted image",
        r"(?!.*_ce-)(?!.*_space-)sub-[^_]+(_.+)?_T1w",
        "{0}/anat/{0}_T1w.nii.gz",
        rf"\b({_T1}|t1n)\b",
        "CPM",
    ),
    "T1wGd": Kind(
        "T1-weighted image after gadolinium",
        r"(?!.*_space-)sub-.*_ce-(?!none|no_|pre|native|without)[A-Za-z0-9]+(_.*)?_T1w",
        "{0}/anat/{0}_ce-gadolinium_T1w.nii.gz",
        rf"\b({_T1})-?({_AFTER}|c)\b|\b({_T1})\b.*\b({_AFTER})\b|\b({_AFTER})\b.*\b({_T1})\b",
        "CPM",
    ),
    "FLAIR": Kind(
        "FLAIR",
        r"(?!.*_space-)sub-.*_FLAIR",
        "{0}/anat/{0}_FLAIR.nii.gz",
        r"flair|\bt2f\b|dark-?fluid",
        "CPM",
    ),
    "ADC": Kind(
        "apparent diffusion coefficient",
        "sub-.*_ADC(map)?",
        "{0}/dwi/{0}_ADC.nii.gz",
        r"adc|\bmd\b|diffusivity|diffusion-?coeff",
        derived=True,
    ),
    "dwi": Kind(
        "diffusion series",
        "sub-.*_dwi",
        "{0}/dwi/{0}_dwi.nii.gz",
        r"dwi|\bdti\b|diffusion|trace",
        "ADC",
    ),
    "dsc": Kind(
        "dynamic susceptibility contrast series",
        "sub-.*_dsc",
        "{0}/perf/{0}_dsc.nii.gz",
        r"dsc|bolus|\bpwi\b|\bperf",
        "rCBV",
    ),
    "rCBV": Kind(
        "relative cerebral blood volume",
        "(?!.*_desc-uncorrected_)sub-.*_rCBV(map)?",
        "{0}/perf/{0}_rcbv.nii.gz",
        "cbv|blood-?volume",
        derived=True,
    ),
    "CPM": Kind(
        "cellularity prediction map",
        "sub-.*_CPM(map)?",
        "derivatives/<pipeline>/{0}/{0}_cpm.nii.gz",
        "cpm|cellular|cell|nucle|density|pathomic|predict",
        raw=False,
        derived=True,
    ),
    "mask": Kind(
        "brain mask",
        "sub-.*_desc-brain_mask",
        "derivatives/<pipeline>/{0}/{0}_desc-brain_mask.nii.gz",
        r"brain.*mask|mask.*brain|\bmask\b",
        raw=False,
        derived=True,
    ),
}
SERIES = ("dwi", "dsc")
_HINTED = ("CPM", "mask", "FLAIR", "T1wGd", "T1w", "rCBV", "ADC", "dsc", "dwi")
"""The order in which hints are sought; the first that is found counts."""

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
COUNTED = ("annotations", "detections", "geojson")
"""Kinds of export that cells are counted from."""
SIDECARS = tuple(f"{kind}_sidecar" for kind in COUNTED)
"""JSON beside an export, which may give its pixel size; a tile's pixels can be others."""
EXPORT_HINT = r"annotation|detection|measurement|nuclei|outline|qupath"
"""In the name of a table that may be an export of QuPath."""

DERIVATIVES = "derivatives"
NOT_NEEDED = "nothing in it is needed"
"""Why the texts beside images are not read."""
TEXTS = ("json", "bval", "bvec")
"""Suffixes of the texts that describe a series."""
NIFTI = (".nii.gz", ".nii")
IMAGES = (
    *NIFTI,
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

_TEMPLATE = r"_space-(mni|icbm|tal|oasis|nki|fsaverage|fslr|uncinfant|suit|colin|template)"
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
"""What an image that nothing here needs holds, and the last parts of its stem, as BIDS has them."""


def stem_of(name: str) -> tuple[str, str]:
    """Part a name into its stem and its suffix, the latter in small letters.

    Examples
    --------
    >>> stem_of("sub-01_acq-1.5T_T1w.NII.GZ")
    ('sub-01_acq-1.5T_T1w', '.nii.gz')
    """
    lower = name.lower()
    known = [end for end in IMAGES if lower.endswith(end)]
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


def is_named(kind: str, stem: str) -> bool:
    """Whether a stem is a right one of a kind of image, in the patient's own space."""
    named = re.fullmatch(KINDS[kind].pattern, stem, re.IGNORECASE)
    # A name may have the last part of one kind and say that it is another.
    other = kind == "T1w" and looks_like(stem) == "T1wGd"
    return bool(named) and not other and not in_template(stem)


def looks_like(stem: str) -> str | None:
    """Return the kind of image that a stem hints at, whether or not it is a right one.

    None where the name says something else or nothing.

    Examples
    --------
    >>> [looks_like(f"sub-01_{end}") for end in ("desc-cellularity_map", "T2-FLAIR", "T2w")]
    ['CPM', 'FLAIR', None]
    """
    if other_image(stem):
        return None
    # Patient and space say nothing of a kind.
    words = re.sub(r"^sub-[a-z0-9]+|_space-[a-z0-9]+|[_.]", " ", stem.lower()).strip()
    found = next((kind for kind in _HINTED if re.search(KINDS[kind].hint, words)), None)
    of_something = "mask" in words and "brain" not in words
    if found == "mask":
        of_something = re.search(_OTHER_MASK, words) is not None
    return None if of_something else found


def in_template(stem: str) -> bool:
    """Whether an image lies in a template's space: no patient's scanner, without any target."""
    return re.search(_TEMPLATE, stem.lower()) is not None


def other_image(stem: str) -> str | None:
    """Say what an image holds that nothing here needs; None if the name does not tell."""
    last = stem.lower().rpartition("_")[2]
    if "desc-uncorrected_" in stem and "cbv" in last:
        return "blood volume without correction for leakage"
    return next((what for what, names in OTHERS.items() if re.fullmatch(names, last)), None)


def export_of(name: str) -> tuple[str, str | None]:
    """Return the sample of a name, in small letters, and its kind of export, if it is one."""
    # The patient's name may stand before the sample's.
    match = re.fullmatch(r"(?:sub-[a-z0-9]+_)?(sample-[a-z0-9]+)(.*)", name.lower())
    if match is None:
        return "", None
    return match[1], next((kind for kind, ends in EXPORTS.items() if match[2] in ends), None)
