"""The pages that the library writes about itself: architecture, glossary, reference.

All is read from the source: rooms and their sentences from the packages' docstrings, arrows from
the imports, terms from the modules' *Vocabulary* sections; and from the list of abbreviations.
"""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pandas as pd

from cpmlib.book.markup import Mark, escape, pipe_table, typeset
from dependencies import ROOT, imported_by
from sphinx_extensions.abbreviations import entries

if TYPE_CHECKING:
    import networkx as nx

ROOMS = ("study", "mri", "cpm", "histology", "roi", "statistics", "paper", "figures", "book")
"""Of the library, from the bottom up."""
GENERATOR = "cpmsurrogate"

_TERM = re.compile(r"^- (\*.+?)(?=^- \*|\n\n|\Z)", re.MULTILINE | re.DOTALL)
_SECTION = re.compile(r"^Vocabulary\n-+\n(.*?)(?=^\S[^\n]*\n-{3,}\n|\Z)", re.MULTILINE | re.DOTALL)
_EMPHASIS = re.compile(r"\*(\w[^*]*)\*")
_QUOTE = re.compile(r"^Methods: (.+)\Z", re.MULTILINE | re.DOTALL)

_TERMS = """## Terms of the library

As its modules define them, at their beginning under *Vocabulary*. No term stands here twice; those
of the first table are used as it says."""


class Module(NamedTuple):
    """A module of the library: its file, its dotted name, and its docstring."""

    path: Path
    name: str
    text: str

    @property
    def place(self) -> str:
        """The module and its room, as a reader sees it."""
        return f"{self.path.stem} ({self.room})"

    @property
    def room(self) -> str:
        """The package that it is in; of the generator, the generator."""
        return room_of(self.path)


def room_of(path: Path) -> str:
    """Return the room of a file of the library."""
    first, second, *_ = path.relative_to(ROOT / "src").parts
    return second if first == "cpmlib" else first


def read_modules() -> list[Module]:
    """Return the modules of the library and the generator, by name."""
    found = []
    for path in sorted((ROOT / "src").glob("cpm*/**/*.py")):
        name = ".".join(path.relative_to(ROOT / "src").with_suffix("").parts)
        text = ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""
        if name != "cpmlib.__init__":
            found.append(Module(path, name.removesuffix(".__init__"), text))
    return found


def vocabulary(module: Module) -> list[tuple[str, str]]:
    """Return the terms that a module defines, each with its meaning; synonyms share a term."""
    section = _SECTION.search(module.text)
    items = [" ".join(item.split()) for item in _TERM.findall(section[1])] if section else []
    pairs = (item.partition(": ") for item in items)
    return [(_EMPHASIS.sub(r"\1", term), meaning) for term, _, meaning in pairs]


def glossary(modules: Iterable[Module]) -> pd.DataFrame:
    """Return the terms of the library's vocabularies, in the order of the alphabet.

    One row a term: ``Term``, ``Meaning``, ``Where`` (its module).
    """
    rows = [
        (term, typeset(_EMPHASIS.sub(r"\1", meaning).replace("`", "")), module.place)
        for module in modules
        if module.room != GENERATOR
        for term, meaning in vocabulary(module)
    ]
    table = pd.DataFrame(rows, columns=["Term", "Meaning", "Where"])
    return table.sort_values("Term", key=lambda terms: terms.str.lower(), kind="stable")


def short_forms() -> str:
    """Return the table of abbreviations and symbols, each row a target of links."""
    rows = [(", ".join(entry.forms), entry.meaning) for entry in entries()]
    marks = [Mark(entry.anchor, escape(entry.name)) for entry in entries()]
    return pipe_table(pd.DataFrame(rows, columns=["Short", "Meaning"]), marks)


def rooms(modules: Iterable[Module]) -> pd.DataFrame:
    """Return what each room does, and the sentences of the paper's Methods that it stands for."""
    rows = []
    for room in (*ROOMS, GENERATOR):
        package = room if room == GENERATOR else f"cpmlib.{room}"
        text = next(module.text for module in modules if module.name == package)
        quoted = _QUOTE.search(text)
        purpose = " ".join(text.split("\n\n")[0].replace("`", "").split())
        rows.append((package, purpose, " ".join(quoted[1].split()) if quoted else ""))
    return pd.DataFrame(rows, columns=["Room", "What it does", "Sentences of the paper's Methods"])


def room_graph(modules: Iterable[Module]) -> nx.DiGraph:
    """Return which room imports from which; what a longer way implies is left out."""
    import networkx as nx

    graph = nx.DiGraph()
    for module in modules:
        graph.add_node(module.room)
        others = {room_of(path) for path in imported_by(module.path)} - {"__init__.py"}
        graph.add_edges_from((module.room, other) for other in others - {module.room})
    return nx.transitive_reduction(graph)


def draw_rooms(modules: list[Module], target: Path) -> None:
    """Draw the rooms, the deepest lowest, with their modules and imports."""
    import networkx as nx

    import boxes

    graph = room_graph(modules)
    levels = list(nx.topological_generations(graph))[::-1]
    width, height, gap = 4.4, 1.25, 0.4
    figure, ax = boxes.blank(9.4, (height + gap) * len(levels))
    middle = {}
    for row, level in enumerate(levels):
        for i, room in enumerate(sorted(level)):
            middle[room] = ((i - (len(level) - 1) / 2) * (width + 0.4), row * (height + gap))
    drawn = [((x - width / 2, y), (width, height)) for x, y in middle.values()]
    ends = [(middle[a], (middle[b][0], middle[b][1] + height)) for a, b in sorted(graph.edges)]
    boxes.draw(ax, drawn, ends)
    for room, (x, y) in middle.items():
        parts = [m.name.split(".")[2 if room in ROOMS else 1 :] for m in modules if m.room == room]
        names = {names[0] for names in parts if names}
        listed = textwrap.fill(", ".join(sorted(names - {"__main__"})), 62)
        ax.text(x, y + height - 0.06, room, ha="center", va="top", fontsize=12, weight="bold")
        ax.text(x, y + height - 0.32, listed, ha="center", va="top", fontsize=9)
    ax.set_xlim(-width - 0.4, width + 0.4)
    ax.set_ylim(-0.1, len(levels) * (height + gap))
    boxes.save(figure, target)


def reference(modules: list[Module]) -> str:
    """Return the reference: each room, the sentences that it stands for, each of its modules."""
    parts = []
    listed = [module for module in modules if module.path.name != "__init__.py"]
    said = rooms(modules).set_index("Room")["Sentences of the paper's Methods"]
    for room in ROOMS:
        parts.append(f"## {room}\n")
        if quoted := said[f"cpmlib.{room}"]:
            parts.append(f"The paper's Methods: {escape(quoted)}\n")
        parts.append("```{eval-rst}")
        for module in (module for module in listed if module.name.split(".")[1] == room):
            title = f".. rubric:: {module.name}\n   :class: module-name\n"
            parts.append(f"{title}\n.. automodule:: {module.name}\n   :members:\n")
        parts.append("```\n")
    return "\n".join(parts)


def write_pages(folder: Path) -> None:
    """Append what is generated to the three pages in a folder, and draw the picture beside them."""
    modules = read_modules()
    draw_rooms(modules, folder / "rooms.svg")
    generated = {
        "architecture": pipe_table(rooms(modules)),
        "glossary": f"{short_forms()}\n\n{_TERMS}\n\n{pipe_table(glossary(modules))}",
        "reference": reference(modules),
    }
    for name, text in generated.items():
        page = folder / f"{name}.md"
        page.write_text(page.read_text("utf-8").rstrip("\n") + f"\n\n{text}\n", encoding="utf-8")
