"""Draw the workflow's dependency graph, from Snakemake's own account of it.

python workflow/graph.py FILE.svg
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter

import networkx as nx

import boxes
import child
from dependencies import ROOT

_NODE = re.compile(r'(\d+)\[label = "([^"]*)"')
_EDGE = re.compile(r"(\d+) -> (\d+)")
WIDTH, HEIGHT, GAP_X, GAP_Y = 2.5, 0.5, 0.8, 0.16


def read_graph() -> tuple[dict[str, str], list[tuple[str, str]]]:
    """Return jobs by number, and which needs which."""
    command = child.command("snakemake", "--snakefile", "workflow/Snakefile")
    command += ["--dag", "dot", "--forceall", "--nolock"]
    # The build's notes on its files change while this runs beside other jobs: they are not read.
    command += ["--ignore-incomplete", "--rerun-triggers", "mtime"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if run.returncode:
        raise SystemExit(run.stderr.strip() or f"Snakemake {child.KILLED}")
    nodes = {}
    for number, label in _NODE.findall(run.stdout):
        lines = [line for line in label.split("\\n") if line]
        named = [line.split(": ")[1] for line in lines if line.startswith("name: ")]
        nodes[number] = named[0] if named else lines[0]
    if not nodes:
        raise SystemExit("Snakemake printed no graph")
    return merged(nodes, _EDGE.findall(run.stdout))


def merged(
    nodes: dict[str, str], edges: list[tuple[str, str]]
) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """Draw the jobs that one rule has for many patients as one box."""
    first: dict[str, str] = {}
    stands = {number: first.setdefault(name, number) for number, name in nodes.items()}
    count = Counter(nodes.values())
    kept = {
        number: name if count[name] == 1 else f"{name} (x {count[name]})"
        for name, number in first.items()
    }
    return kept, sorted({(stands[a], stands[b]) for a, b in edges if stands[a] != stands[b]})


def main(target: str) -> None:
    """Write the drawing."""
    nodes, edges = read_graph()
    drawn = nx.DiGraph(edges)
    drawn.add_nodes_from(nodes)
    drawn.remove_nodes_from([number for number, name in nodes.items() if name == "all"])
    # An edge that a longer way implies is left out.
    edges = sorted(nx.transitive_reduction(drawn).edges)
    columns = [sorted(jobs, key=nodes.__getitem__) for jobs in nx.topological_generations(drawn)]
    place = {}
    for column, members in enumerate(columns):
        for i, number in enumerate(members):
            y = (i - (len(members) - 1) / 2) * -(HEIGHT + GAP_Y)
            place[number] = (column * (WIDTH + GAP_X), y)
    tallest = max(map(len, columns))
    figure, ax = boxes.blank(len(columns) * (WIDTH + GAP_X) * 0.9, tallest * (HEIGHT + GAP_Y) * 1.3)
    ends = []
    for first, second in edges:
        (x1, y1), (x2, y2) = place[first], place[second]
        ends.append(((x1 + WIDTH, y1 + HEIGHT / 2), (x2, y2 + HEIGHT / 2)))
    boxes.draw(ax, place, (WIDTH, HEIGHT), ends)
    for number, (x, y) in place.items():
        ax.text(x + WIDTH / 2, y + HEIGHT / 2, nodes[number], ha="center", va="center", fontsize=11)
    ax.set_xlim(-0.2, len(columns) * (WIDTH + GAP_X) - GAP_X + 0.2)
    reach = tallest * (HEIGHT + GAP_Y) / 2
    ax.set_ylim(-reach - 0.1, reach + HEIGHT)
    boxes.save(figure, target)


if __name__ == "__main__":
    main(*sys.argv[1:])
