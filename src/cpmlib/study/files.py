"""Which files of a BIDS folder hold what of a patient.

Vocabulary
----------
- *raw file*: one below ``sub-<label>/``.
- *derivative*: a file below ``derivatives/<pipeline>/sub-<label>/``: what a study computed already
  and the project then uses as it is.
- *export*: a file that QuPath wrote of one sample, named after it.
- *inherited file*: a text that describes a series and lies beside it or higher up in the dataset,
  as BIDS has it.
- *unused file*: a file of a patient that is not read; it is named with the reason.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cpmlib.study import names
from cpmlib.study.errors import Problem, fault, told_together
from cpmlib.study.names import DERIVATIVES, KINDS, export_of, plain_name, stem_of
from cpmlib.study.text import first_bytes, is_placeholder, not_fetched, why_refused


@dataclass(frozen=True)
class Unused:
    """A file that is not read: what it holds, and why it is not read, both without any name."""

    path: Path
    what: str
    reason: str


@dataclass(frozen=True)
class PatientFiles:
    """The files of one patient: of each kind of image one, and exports of each sample.

    The texts that describe a series are given by suffix, those nearest to it last.
    """

    participant_id: str
    images: Mapping[str, Path] = field(default_factory=dict)
    exports: Mapping[str, Mapping[str, Path]] = field(default_factory=dict)
    texts: Mapping[str, Mapping[str, Sequence[Path]]] = field(default_factory=dict)
    unused: tuple[Unused, ...] = ()

    def all(self) -> list[Path]:
        """Return every file that is used, with the texts that describe a series."""
        paths = set(self.images.values())
        paths.update(*(found for texts in self.texts.values() for found in texts.values()))
        paths.update(*(exports.values() for exports in self.exports.values()))
        return sorted(paths - {unused.path for unused in self.unused})


def find_patient(
    root: str | os.PathLike[str],
    participant_id: str,
    sample_ids: Iterable[str],
    *,
    excluded: Iterable[str] = (),
    uncounted: Iterable[str] = (),
    checked: bool = False,
) -> PatientFiles:
    """Find what a study has of one patient; derivatives go before raw files of the same kind.

    Names are compared without regard to capitals, those of samples also without leading zeros.
    Exports of samples that the study leaves out (excluded), or whose density it leaves out
    (uncounted), are not read.

    Raises a DatasetError if two files could be meant; for a file whose content was not fetched; for
    one that looks like a kind of which the patient has no other, but has not the name of one. Where
    the study passed before (checked), the latter two are no error, but unused.

    Examples
    --------
    >>> find_patient(Path("nowhere"), "sub-01", []).images
    {}
    """
    root = Path(root)
    raw, derived = _below(root, participant_id)
    why = dict.fromkeys(map(plain_name, uncounted), "its sample's density is left out")
    why |= dict.fromkeys(map(plain_name, excluded), "its sample is excluded")
    owners = {path: plain_name(export_of(path.name)[0]) for path in raw + derived}
    unused = [Unused(path, "export", why[name]) for path, name in owners.items() if name in why]
    with told_together() as problems:
        if not checked:
            read = [path for path, name in owners.items() if name not in why]
            problems += [not_fetched(path, root) for path in read if is_placeholder(path)]
        problems += _misplaced(raw + derived, participant_id)
    with told_together() as problems:
        images = _images(raw, derived, participant_id, problems)
        exports = {sample: _exports(derived + raw, sample, problems) for sample in sample_ids}
        series = [kind for kind in names.SERIES if kind in images]
        texts = {kind: _inherited(root, images[kind], problems) for kind in series}
        found = PatientFiles(participant_id, images, exports, texts)
        unused += _superseded(found)
        others = set(raw + derived) - set(found.all()) - {one.path for one in unused}
        unused += _others(sorted(others), found, [] if checked else problems)
    for kind in series:
        if KINDS[kind].made_of_it in images:
            del images[kind], texts[kind]
    return dataclasses.replace(found, unused=tuple(unused))


def has_images(root: str | os.PathLike[str]) -> bool:
    """Whether a dataset holds anything but tables: a patient's folder or a derivative's."""
    return any(True for _ in _of_patients(Path(root)))


def unknown_patients(root: str | os.PathLike[str], known: Collection[str]) -> list[Unused]:
    """Return what is not looked into: folders, as those of patients whom no table names, and files
    of which nothing tells whose they are.

    Raises a DatasetError for a folder whose name differs from a patient's only in capitals or
    leading zeros.
    """
    root = Path(root)
    plain, rename = {plain_name(name): name for name in known}, "rename the folder"
    unused = []
    with told_together() as problems:
        for path in _of_patients(root):
            if path.name not in known and path.is_dir():
                if meant := plain.get(plain_name(path.name)):
                    expected = f"{meant}, as in the tables"
                    problems.append(Problem(path.name, "this name", expected, rename))
                unused.append(
                    Unused(path, "folder of a patient", "the tables have no such patient")
                )
        for path in (path for path in _entries(root) if path.is_dir()):
            if path.name.lower() == DERIVATIVES != path.name:
                problems.append(Problem(path.name, "this name", DERIVATIVES, rename))
            if path.name != DERIVATIVES and not path.name.lower().startswith(("sub-", ".")):
                reason = f"only the folders of patients and {DERIVATIVES} are read"
                unused.append(Unused(path, "folder", reason))
    at_top = [path for path in _entries(root) if path.is_file()]
    what = dict.fromkeys(names.IMAGES, "image") | dict.fromkeys(names.TABLES, "table or outline")
    for path in [*at_top, *_files_below(root / DERIVATIVES)]:
        owned = any(part.lower().startswith("sub-") for part in path.relative_to(root).parts)
        suffix = stem_of(path.name)[1]
        if suffix in what and not owned and path.name not in names.OWN_TABLES:
            reason = "neither name nor folder tells whose it is"
            unused.append(Unused(path, what[suffix], reason))
    return unused


def _of_patients(root: Path) -> Iterator[Path]:
    """Yield what is named after a patient, at the top and anywhere below the derivatives.

    Links to nowhere are yielded too: nobody knows what lies below them.
    """
    yield from (path for path in _entries(root) if path.name.lower().startswith("sub-"))
    waiting = [root / DERIVATIVES]
    while waiting:
        folder = waiting.pop()
        if is_placeholder(folder):
            yield folder
        for path in _entries(folder):
            if path.name.lower().startswith("sub-") or (path.is_symlink() and not path.exists()):
                yield path
            elif path.is_dir() and not folder.resolve().is_relative_to(path.resolve()):
                waiting.append(path)


def _entries(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _files_below(folder: Path) -> list[Path]:
    """Return every file below a folder, through links and with links to nowhere; no hidden one."""

    def unreadable(error: OSError) -> None:
        name, remedy = Path(error.filename or folder).name, "correct its permissions"
        raise fault(name, why_refused(error), "a readable folder", remedy)

    if not folder.is_dir():
        return []
    found, seen = [], set()
    for here, folders, files in os.walk(folder, onerror=unreadable, followlinks=True):
        real = os.path.realpath(here)
        # A loop of links is walked once.
        folders[:] = sorted(n for n in folders if n[0] != "." and real not in seen)
        found += [Path(here, name) for name in files if name[0] != "." and real not in seen]
        seen.add(real)
    return sorted(found)


def _below(root: Path, who: str) -> tuple[list[Path], list[Path]]:
    """Return a patient's raw files and derivatives: in folders of theirs, or named after them."""
    raw: list[Path] = []
    derived: list[Path] = []
    for path in _of_patients(root):
        name, mine = path.name, derived if path.is_relative_to(root / DERIVATIVES) else raw
        if path.is_dir() and name == who:
            mine += _files_below(path)
        # What is named after nobody is a link to nowhere.
        elif name == who or not name.lower().startswith("sub-") or _is_of(path, who):
            mine.append(path)
    return raw, derived


def _is_of(path: Path, who: str) -> bool:
    return path.name.lower().startswith(f"{who.lower()}_")


def _misplaced(paths: list[Path], who: str) -> list[Problem]:
    """Name the files that are named after another patient than their folder."""
    expected = f"files whose names begin with {who}_"
    remedy = "move it to its patient's folder or correct the name"
    return [
        Problem(path.name, f"{path.name} in the folder of {who}", expected, remedy)
        for path in paths
        if path.name.lower().startswith("sub-")
        and not (_is_of(path, who) or path.name.lower() == who.lower())
    ]


def _images(
    raw: list[Path], derived: list[Path], who: str, problems: list[Problem]
) -> dict[str, Path]:
    images: dict[str, Path] = {}
    for kind, said in KINDS.items():
        found: list[Path] = []
        for paths, may in ((derived, said.derived), (raw, said.raw)):
            if may and not found:
                parted = ((path, *stem_of(path.name)) for path in paths)
                found = [
                    path
                    for path, stem, suffix in parted
                    if suffix in names.NIFTI and names.is_named(kind, stem)
                ]
        if len(found) > 1:
            listed = ", ".join("/".join(path.parts[-3:]) for path in found[:3])
            remedy = "leave one in place, or move the others out of the dataset"
            expected = f"one {said.description} of a patient"
            problems.append(Problem(who, f"{len(found)} files ({listed})", expected, remedy))
        if found:
            images[kind] = found[0]
    return images


def _exports(paths: list[Path], sample: str, problems: list[Problem]) -> dict[str, Path]:
    by_kind: dict[str, list[Path]] = {}
    for path in paths:
        name, kind = export_of(path.name)
        if kind and plain_name(name) == plain_name(sample):
            if kind in names.SIDECARS and _is_geojson(path):
                kind = "geojson"
            by_kind.setdefault(kind, []).append(path)
    for kind, found in by_kind.items():
        if len(found) > 1:
            listed = ", ".join(sorted(path.name for path in found)[:3])
            expected = f"one file of {kind} for a sample"
            problems.append(Problem(sample, listed, expected, "leave one in place"))
    return {kind: found[0] for kind, found in by_kind.items()}


def _is_geojson(path: Path) -> bool:
    """Whether a JSON file holds outlines, by its beginning: a list, or features."""
    begin = first_bytes(path, 4096).decode("utf-8", "replace").lstrip("\ufeff \t\r\n")
    outlines = r'^\[|"type"\s*:\s*"Feature(Collection)?"|"features"\s*:\s*\['
    return re.search(outlines, begin) is not None


def _inherited(root: Path, series: Path, problems: list[Problem]) -> dict[str, list[Path]]:
    """Return the texts that describe a series, those nearest to it last.

    BIDS lets a text lie in any folder from the series' own up to the dataset's, if its name has
    the same last part and no entity that the series' name has not.
    """
    *entities, last = stem_of(series.name)[0].lower().split("_")
    found: dict[str, list[Path]] = {end: [] for end in names.TEXTS}
    inside = series.relative_to(root).parts[:-1]
    for folder in [root.joinpath(*inside[:depth]) for depth in range(len(inside) + 1)]:
        here: dict[str, list[Path]] = {end: [] for end in names.TEXTS}
        for path in _entries(folder):
            stem, suffix = stem_of(path.name)
            *own, name = stem.lower().split("_")
            if suffix[1:] in here and name == last and set(own) <= set(entities):
                here[suffix[1:]].append(path)
        for end, paths in here.items():
            problems += [not_fetched(path, root) for path in paths if is_placeholder(path)]
            if len(paths) > 1:
                listed = ", ".join(path.name for path in paths)
                expected = f"one {end} in a folder for {series.name}"
                problems.append(Problem(series.name, listed, expected, "leave one in place"))
            found[end] += paths
    return found


def _superseded(files: PatientFiles) -> Iterator[Unused]:
    """Yield what was found by its name, but is not read since something else goes before it."""
    for kind, texts in files.texts.items():
        if (made := KINDS[kind].made_of_it) in files.images:
            what, reason = KINDS[kind].description, f"the study has the {KINDS[made].description}"
            yield Unused(files.images[kind], what, f"{reason} already")
            for path in (path for found in texts.values() for path in found):
                yield Unused(path, f"text of a {what}", f"{reason} already")
    for exports in files.exports.values():
        counted = set(exports) & set(names.COUNTED)
        for kind, path in exports.items():
            if kind in names.SIDECARS and not counted:
                yield Unused(path, "text of an export", "the sample has no export")
            elif kind == "tile" and "tile_sidecar" not in exports:
                yield Unused(path, "picture of a section", "no JSON beside it gives its pixel size")
            elif kind == "tile_sidecar" and "tile" not in exports:
                yield Unused(path, "text of a picture", "the picture is not there")


def _others(paths: list[Path], files: PatientFiles, problems: list[Problem]) -> Iterator[Unused]:
    """Yield what was not found by its name; name as a problem what may be missed."""
    for path in paths:
        stem, suffix = stem_of(path.name)
        outlines = suffix == ".geojson" or (suffix == ".json" and _is_geojson(path))
        hinted = suffix in names.TABLES and re.search(names.EXPORT_HINT, path.name.lower())
        if suffix in names.IMAGES or (suffix in names.SET_ASIDE and names.looks_like(stem)):
            yield _other_image(path, files, problems)
        elif outlines or hinted:
            yield _other_export(path, files, problems)
        elif suffix in names.PICTURES:
            yield Unused(path, "picture", "no picture of a section by its name")
        elif suffix[1:] in names.TEXTS:
            yield Unused(path, "text of an image", names.NOT_NEEDED)
        else:
            yield Unused(path, "file of another kind", "nothing here reads it")


def _other_image(path: Path, files: PatientFiles, problems: list[Problem]) -> Unused:
    stem, suffix = stem_of(path.name)
    kind = names.looks_like(stem)
    if kind is None:
        what = names.other_image(stem) or "image of an unknown kind"
        return Unused(path, what, "nothing here needs it")
    said = KINDS[kind]
    for one in (kind, said.made_of_it):
        if one in files.images:
            reason = f"another file gives the {KINDS[one].description}"
            return Unused(path, said.description, reason)
    found = f"what may be the {said.description}, by its name, and no other"
    remedy = "give it that name if it is one, or move it out of the patient's folders"
    if names.in_template(stem):
        found = f"the {said.description} in a template's space, by its name"
        remedy = "bring it to scanner space, where the targets are, or move it out"
    elif suffix not in names.NIFTI:
        remedy = f"convert it to NIfTI; {remedy}"
    expected = said.right_name.format(files.participant_id)
    problems.append(Problem(path.name, found, expected, remedy))
    return Unused(path, said.description, "not by its name")


def _other_export(path: Path, files: PatientFiles, problems: list[Problem]) -> Unused:
    without = [name for name, found in files.exports.items() if not set(found) & set(names.COUNTED)]
    sample = export_of(path.name)[0]
    known = {plain_name(name): name for name in files.exports}.get(plain_name(sample))
    if without and (known is None or known in without):
        name = known or without[0]
        endings = "_annotations.tsv, _detections.tsv or _outline.geojson"
        expected = f"the name of a sample, as {name}, and {endings}"
        found = f"what may be an export, by its name, and none of {name}"
        remedy = "name it so if it is one, or move it out of the patient's folders"
        problems.append(Problem(path.name, found, expected, remedy))
    if sample and known is None:
        return Unused(path, "export", "the table of samples has no such sample")
    return Unused(path, "export", "not by its name; other exports are counted")
