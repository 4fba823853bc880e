"""Which files of a BIDS folder hold what of a patient.

Vocabulary
----------
- *kind*: what a file holds, whatever its name: one of `cpmlib.study.names.KINDS`.
- *raw*: below ``sub-<label>/``. *derivative*: below ``derivatives/<pipeline>/sub-<label>/``; what a
  study computed already and the project then uses as it is.
- *export*: a file that QuPath wrote of one sample, named after it.
- *inherited*: a text that describes a series and lies beside it or higher up in the dataset, as
  BIDS has it.
- *unused*: a file of a patient that is not read; it is named with the reason.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cpmlib.study import names
from cpmlib.study.errors import DatasetError, Problem
from cpmlib.study.names import (
    entries,
    files_below,
    is_placeholder,
    not_fetched,
    plain_name,
    stem_of,
)


@dataclass(frozen=True)
class Unused:
    """A file that is not read: what it holds, and why it is not read, both without any name."""

    path: Path
    what: str
    reason: str


@dataclass(frozen=True)
class PatientFiles:
    """The files of one patient.

    Parameters
    ----------
    images
        Path by kind; at most one of each.
    exports
        Path by sample and kind of export.
    texts
        By series and suffix the texts that describe it, those nearest to it last.
    unused
        Every other file of the patient.
    """

    participant_id: str
    images: Mapping[str, Path] = field(default_factory=dict)
    exports: Mapping[str, Mapping[str, Path]] = field(default_factory=dict)
    texts: Mapping[str, Mapping[str, Sequence[Path]]] = field(default_factory=dict)
    unused: tuple[Unused, ...] = ()

    def all(self) -> list[Path]:
        """Return every file that is used, with the texts that describe a series."""
        paths = set(self.images.values())
        for texts in self.texts.values():
            paths.update(*texts.values())
        for exports in self.exports.values():
            paths.update(exports.values())
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

    Parameters
    ----------
    excluded
        Samples that the study leaves out; their exports are not read.
    uncounted
        Samples of which it leaves out the density; their exports are not read either.
    checked
        Whether the study passed before: a file that looks like one that is missed, or was not
        fetched, is then no error, but unused.

    Raises
    ------
    DatasetError
        If two files could be meant; for a file whose content was not fetched; for one that looks
        like a kind of which the patient has no other, but has not the name of one.

    Examples
    --------
    >>> find_patient(Path("nowhere"), "sub-01", []).images
    {}
    """
    root = Path(root)
    raw, derived = _below(root, participant_id)
    unused = _set_aside(raw + derived, excluded, uncounted)
    problems = _misplaced(raw + derived, participant_id)
    if not checked:
        read = [path for path in raw + derived if path not in {one.path for one in unused}]
        problems = [not_fetched(path, root) for path in read if is_placeholder(path)] + problems
    if problems:
        raise DatasetError(problems)
    images = _images(raw, derived, participant_id, problems)
    exports = {sample: _exports(derived + raw, sample, problems) for sample in sample_ids}
    series = {kind: path for kind, path in images.items() if kind in names.SERIES}
    texts = {kind: names.inherited(root, path, problems) for kind, path in series.items()}
    found = PatientFiles(participant_id, images, exports, texts)
    unused += _superseded(found)
    said = {one.path for one in unused}
    unused += _others(raw + derived, found, said, [] if checked else problems)
    if problems:
        raise DatasetError(problems)
    late = [kind for kind in names.SERIES if names.STANDS_FOR[kind] in images]
    return dataclasses.replace(
        found,
        images={kind: path for kind, path in images.items() if kind not in late},
        texts={kind: paths for kind, paths in texts.items() if kind not in late},
        unused=tuple(unused),
    )


def _set_aside(
    paths: list[Path], excluded: Iterable[str], uncounted: Iterable[str]
) -> list[Unused]:
    """Return the exports of samples that are left out, with the reason."""
    why = dict.fromkeys(map(plain_name, uncounted), "its sample's density is left out")
    why |= dict.fromkeys(map(plain_name, excluded), "its sample is excluded")
    owned = [(path, plain_name(_export_of(path)[0])) for path in paths]
    return [Unused(path, "export", why[name]) for path, name in owned if name in why]


def has_images(root: str | os.PathLike[str]) -> bool:
    """Whether a dataset holds anything but tables: a patient's folder or a derivative's."""
    return any(True for _ in _of_patients(Path(root)))


def unknown_patients(root: str | os.PathLike[str], known: Collection[str]) -> list[Unused]:
    """Return what is not looked into: folders, as those of patients whom no table names, and files
    of which nothing tells whose they are.

    Raises
    ------
    DatasetError
        For a folder whose name differs from a patient's only in capitals or leading zeros.
    """
    root = Path(root)
    plain = {plain_name(name): name for name in known}
    unused, problems = [], []
    for path in _of_patients(root):
        if path.name not in known and path.is_dir():
            if meant := plain.get(plain_name(path.name)):
                problems.append(_misnamed(path, f"{meant}, as in the tables"))
            unused.append(Unused(path, "folder of a patient", "the tables have no such patient"))
    for path in (path for path in entries(root) if path.is_dir()):
        if path.name.lower() == names.DERIVATIVES != path.name:
            problems.append(_misnamed(path, names.DERIVATIVES))
        if path.name != names.DERIVATIVES and not path.name.lower().startswith(("sub-", ".")):
            reason = f"only the folders of patients and {names.DERIVATIVES} are read"
            unused.append(Unused(path, "folder", reason))
    if problems:
        raise DatasetError(problems)
    at_top = [path for path in entries(root) if path.is_file()]
    for path in [*at_top, *files_below(root / names.DERIVATIVES)]:
        inside = path.relative_to(root).parts
        if any(part.lower().startswith("sub-") for part in inside) or path.name in names.OWN_TABLES:
            continue
        for what, ends in (
            ("image", (*names.NIFTI, *names.OTHER_FORMATS)),
            ("table or outline", names.TABLES),
        ):
            if stem_of(path.name)[1] in ends:
                unused.append(Unused(path, what, "neither name nor folder tells whose it is"))
    return unused


def _misnamed(path: Path, expected: str) -> Problem:
    return Problem(path.name, "this name", expected, "rename the folder")


def _of_patients(root: Path) -> Iterator[Path]:
    """Yield what is named after a patient, at the top and anywhere below the derivatives.

    Links to nowhere are yielded too: nobody knows what lies below them.
    """
    yield from (path for path in entries(root) if path.name.lower().startswith("sub-"))
    waiting = [root / names.DERIVATIVES]
    while waiting:
        folder = waiting.pop()
        if is_placeholder(folder):
            yield folder
        for path in entries(folder):
            if path.name.lower().startswith("sub-") or (path.is_symlink() and not path.exists()):
                yield path
            elif path.is_dir() and not folder.resolve().is_relative_to(path.resolve()):
                waiting.append(path)


def _below(root: Path, who: str) -> tuple[list[Path], list[Path]]:
    """Return a patient's raw files and derivatives: in folders of theirs, or named after them."""
    raw: list[Path] = []
    derived: list[Path] = []
    for path in _of_patients(root):
        name, mine = path.name, derived if path.is_relative_to(root / names.DERIVATIVES) else raw
        if path.is_dir() and name == who:
            mine += files_below(path)
        elif name == who or name.lower().startswith(f"{who.lower()}_"):
            mine.append(path)
        elif not name.lower().startswith("sub-"):
            mine.append(path)  # a link to nowhere
    return raw, derived


def _misplaced(paths: list[Path], who: str) -> list[Problem]:
    """Name the files that are named after another patient than their folder."""
    expected = f"files whose names begin with {who}_"
    remedy = "move it to its patient's folder or correct the name"
    return [
        Problem(path.name, f"{path.name} in the folder of {who}", expected, remedy)
        for path in paths
        if path.name.lower().startswith("sub-")
        and not f"{path.name.lower()}_".startswith(f"{who.lower()}_")
    ]


def _images(
    raw: list[Path], derived: list[Path], who: str, problems: list[Problem]
) -> dict[str, Path]:
    images: dict[str, Path] = {}
    for kind in names.KINDS:
        found = _of_kind(derived, kind) if kind in names.DERIVED_KINDS else []
        if not found and kind in names.RAW_KINDS:
            found = _of_kind(raw, kind)
        if len(found) > 1:
            listed = ", ".join("/".join(path.parts[-3:]) for path in found[:3])
            remedy = "leave one in place, or move the others out of the dataset"
            expected = f"one {names.KINDS[kind]} of a patient"
            problems.append(Problem(who, f"{len(found)} files ({listed})", expected, remedy))
        if found:
            images[kind] = found[0]
    return images


def _of_kind(paths: list[Path], kind: str) -> list[Path]:
    found = []
    for path in paths:
        stem, suffix = stem_of(path.name)
        named = re.fullmatch(names.PATTERNS[kind], stem, re.IGNORECASE)
        # A name may have the last part of one kind and say that it is another.
        other = kind == "T1w" and names.looks_like(stem) == "T1wGd"
        if suffix in names.NIFTI and named and not other and not names.in_template(stem):
            found.append(path)
    return found


def _exports(paths: list[Path], sample: str, problems: list[Problem]) -> dict[str, Path]:
    by_kind: dict[str, list[Path]] = {}
    for path in paths:
        name, kind = _export_of(path)
        if kind and plain_name(name) == plain_name(sample):
            if kind in names.SIDECARS and names.is_geojson(path):
                kind = "geojson"
            by_kind.setdefault(kind, []).append(path)
    for kind, found in by_kind.items():
        if len(found) > 1:
            listed = ", ".join(sorted(path.name for path in found)[:3])
            expected = f"one file of {kind} for a sample"
            problems.append(Problem(sample, listed, expected, "leave one in place"))
    return {kind: found[0] for kind, found in by_kind.items()}


def _export_of(path: Path) -> tuple[str, str | None]:
    """Return the sample that a file's name begins with, and its kind of export if it is one."""
    # The patient's name may stand before the sample's.
    match = re.fullmatch(r"(?:sub-[a-z0-9]+_)?(sample-[a-z0-9]+)(.*)", path.name.lower())
    if match is None:
        return "", None
    return match[1], next((kind for kind, ends in names.EXPORTS.items() if match[2] in ends), None)


def _superseded(files: PatientFiles) -> Iterator[Unused]:
    """Yield what was found by its name, but is not read since something else goes before it."""
    for kind in names.SERIES:
        made = names.STANDS_FOR[kind]
        if kind in files.images and made in files.images:
            reason = f"the study has the {names.KINDS[made]} already"
            yield Unused(files.images[kind], names.KINDS[kind], reason)
            for path in (path for found in files.texts[kind].values() for path in found):
                yield Unused(path, f"text of a {names.KINDS[kind]}", reason)
    for exports in files.exports.values():
        counted = set(exports) & set(names.COUNTED)
        for kind, path in exports.items():
            if kind in names.SIDECARS and not counted:
                yield Unused(path, "text of an export", "the sample has no export")
            elif kind == "tile" and "tile_sidecar" not in exports:
                yield Unused(path, "picture of a section", "no JSON beside it gives its pixel size")
            elif kind == "tile_sidecar" and "tile" not in exports:
                yield Unused(path, "text of a picture", "the picture is not there")


def _others(
    paths: list[Path], files: PatientFiles, said: set[Path], problems: list[Problem]
) -> Iterator[Unused]:
    """Yield what was not found by its name; name as a problem what may be missed."""
    for path in sorted(set(paths) - set(files.all()) - said):
        name = path.name.lower()
        suffix = stem_of(name)[1]
        if suffix in (*names.NIFTI, *names.OTHER_FORMATS):
            yield _other_image(path, files, problems)
        elif suffix == ".geojson" or (
            names.is_geojson(path)
            if suffix == ".json"
            else suffix in names.TABLES and re.search(names.EXPORT, name)
        ):
            yield _other_export(path, files, problems)
        elif suffix in names.SET_ASIDE and names.looks_like(stem_of(path.name)[0]):
            yield _other_image(path, files, problems)
        elif suffix in names.PICTURES:
            yield Unused(path, "picture", "no picture of a section by its name")
        elif suffix in (".json", ".bval", ".bvec"):
            yield Unused(path, "text of an image", names.NOT_NEEDED)
        else:
            yield Unused(path, "file of another kind", "nothing here reads it")


def _other_image(path: Path, files: PatientFiles, problems: list[Problem]) -> Unused:
    stem, suffix = stem_of(path.name)
    kind = names.looks_like(stem)
    if kind is None:
        what = names.other_kind(stem) or "image of an unknown kind"
        return Unused(path, what, "nothing here needs it")
    for one in (kind, names.STANDS_FOR.get(kind, "")):
        if one in files.images:
            return Unused(path, names.KINDS[kind], f"another file gives the {names.KINDS[one]}")
    found = f"what may be the {names.KINDS[kind]}, by its name, and no other"
    expected = names.RIGHT_NAMES[kind].format(files.participant_id)
    remedy = "give it that name if it is one, or move it out of the patient's folders"
    if names.in_template(stem):
        found = f"the {names.KINDS[kind]} in a template's space, by its name"
        remedy = "bring it to scanner space, where the targets are, or move it out"
    elif suffix not in names.NIFTI:
        remedy = f"convert it to NIfTI; {remedy}"
    problems.append(Problem(path.name, found, expected, remedy))
    return Unused(path, names.KINDS[kind], "not by its name")


def _other_export(path: Path, files: PatientFiles, problems: list[Problem]) -> Unused:
    without = [name for name, found in files.exports.items() if not set(found) & set(names.COUNTED)]
    sample = _export_of(path)[0]
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
