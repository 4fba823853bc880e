"""Find names of a study in what is shared: identifiers, and what files and folders are called.

Pages and values are made from pseudonyms and kinds of files; this is the last look before they are
put in place. A word counts if it is a part of a name, an entity of BIDS with its value or the value
alone, and the project's own text does not hold it.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from cpmlib.study.pseudonyms import read_key
from dependencies import BUILD, ROOT, notebook_names
from needs import read_needs

SUFFIXES = (".html", ".csv", ".tex", ".svg", ".ipynb", ".md", ".txt", ".json")
"""Files of the pages that hold text; the index of search is made from it."""

WITHOUT_STUDY = (
    *("genindex.html", "search.html", "book/reference.html", "book/references.html"),
    *(f"notebooks/{name}.html" for name in notebook_names() if not read_needs(name).study),
)
"""Pages in which only the label is a study's: whatever else they hold are words of the theme."""

FIGURES_WITHOUT_STUDY = [
    BUILD / "site" / "notebooks" / f"{name}_files"
    for name in notebook_names()
    if not read_needs(name).study
]

_PAIR = re.compile(r"[^\W\d_]+-[^\W_]+")
_WORD = re.compile(r"[^\W_]+")
_NO_WORDS = re.compile(r"[A-Za-z0-9+/=]{200,}|\.\d+")
"""Images in a page, and decimals of numbers."""

_BETWEEN = bytes(i if i > 127 or chr(i).isalnum() or chr(i) in "-.+/=" else 32 for i in range(256))
"""Makes a space of each byte that stands in no word, and in nothing of `_NO_WORDS`."""


def leaks(pages: Path) -> list[tuple[str, str]]:
    """Return the words of names that pages show, and the page of each."""
    # The label stands on every page; what it says is the study's.
    label = _words_of([BUILD / "dataset" / "dataset_description.json"])
    secret = _secret_words() - (_words_of(pages / name for name in WITHOUT_STUDY) - label)
    found = []
    for path in sorted(pages.rglob("*")):
        if path.suffix in SUFFIXES and "_static" not in path.relative_to(pages).parts:
            shown = secret & _words_of([path])
            found += [(word, str(path.relative_to(pages))) for word in sorted(shown)]
    return found


def leaks_of(path: Path) -> list[tuple[str, str]]:
    """Return the words of names that one file shows, and its name for each."""
    return [(word, path.name) for word in sorted(_secret_words() & _words_of([path]))]


def tell(shown: list[tuple[str, str]]) -> None:
    """Say which words were found, and where first."""
    for word in sorted({word for word, _ in shown}):
        files = [file for found, file in shown if found == word]
        print(
            f"{files[0]} ({len(files)} files in all): found {word!r}, a part of an identifier"
            " or of the name of a file or folder; expected none of the study in what is shared."
            " Remedy: name it otherwise in the study, or take it out of the text that holds it"
        )


def _secret_words() -> set[str]:
    """Return the words of the study's names that the project's own text does not hold."""
    key = read_key(BUILD / "key.tsv")
    names = [*key.patients, *(sample for _, sample in key.samples)]
    study = BUILD / "study"
    for folder, folders, files in os.walk(study if study.is_symlink() else BUILD / "none"):
        if Path(folder) != study:  # the study's tables have names of BIDS
            names += files
        names += folders
    text = _plain(" ".join(names))
    words = {word for word in _WORD.findall(text) if _telling(word)}
    own = _words_of(_own_texts())
    shown = (path for folder in FIGURES_WITHOUT_STUDY for path in folder.rglob("*"))
    own |= _words_of(path for path in shown if path.suffix in SUFFIXES)
    return (words | set(_PAIR.findall(text))) - own


def _plain(text: str) -> str:
    """Return a text so that names in other letters, or composed of other characters, agree."""
    return unicodedata.normalize("NFC", text).lower().replace("_", " ")


def _telling(word: str) -> bool:
    """Whether a word alone can be a name: long enough to be no chance, and no plain number."""
    return len(word) >= (8 if word.isdigit() else 5)


def _own_texts() -> list[Path]:
    """What the project says by itself."""
    folders = ("book", "notebooks", "src", "workflow", "data")
    texts = [p for f in folders for p in (ROOT / f).rglob("*") if p.is_file()]
    return [p for p in texts if p.suffix in (*SUFFIXES, ".py", ".css", ".tsv", ".bib", ".yml")]


def _words_of(paths: Iterable[Path]) -> set[str]:
    parts: set[bytes] = set()
    for path in paths:  # each part once, before anything slower
        parts |= {*path.read_bytes().translate(_BETWEEN).split()}
    text = _plain(_NO_WORDS.sub(" ", b" ".join(parts).decode("utf-8", "replace")))
    return {*_PAIR.findall(text), *_WORD.findall(text)}
