"""Make the folder of what may not be shared, and write into it only what differs."""

from __future__ import annotations

import shutil
from pathlib import Path

import dependencies

PRIVATE = """\
# Private

Do not share this folder. `key.tsv` says which patient is P01 and which sample S01; the other files
hold identifiers of the study, names of its files, or images. What may be shared lies outside it:
`html` (the pages) and `values.json`.

Numbers stay with their patients and samples from build to build while `keys` is here, also if the
study is moved or renamed: the key that holds most of its patients is used, if only one does.
Keep a copy in a safe place: without it, a new build numbers in the order of the tables.
`make clean` deletes this folder with all the rest.
"""
"""What stands in the folder of that name."""

LEFT_BY_EARLIER = (
    *("dataset", "source", "study", "targets", "manifests", "patients", "derivatives"),
    *("calibrated", "site", "sphinx", "logs", "surrogate", "model", "given_model.npz"),
    *("settings.json", "options.json", "image_options.json", "pages.done", "graph.svg"),
    "snakemake.log",
)
"""What was once beside the pages, and identifies patients or is of no use there."""


def write_if_changed(path: Path, content: bytes) -> None:
    """Write a file unless it holds just that already, so that nothing is run again for it."""
    if not path.is_file() or path.read_bytes() != content:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.part")
        partial.write_bytes(content)
        partial.replace(path)


def make_private_folder() -> None:
    """Make the folder of what may not be shared, say so in it, and keep Snakemake's notes there."""
    build, root = dependencies.BUILD, dependencies.ROOT
    build.mkdir(parents=True, exist_ok=True)
    for path in (dependencies.SHARED / name for name in LEFT_BY_EARLIER):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    write_if_changed(build / "README.md", PRIVATE.encode())
    notes, link = build / "snakemake", root / ".snakemake"
    notes.mkdir(exist_ok=True)
    if link.is_dir() and not link.is_symlink():  # left by Snakemake run by hand
        shutil.rmtree(notes)
        link.rename(notes)
    if not link.is_symlink():
        link.symlink_to(notes.relative_to(root), target_is_directory=True)
