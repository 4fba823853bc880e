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
WIDTH, LINE, GAP = 2.1, 0.2, 0.2
"""Of the boxes, of a line in them, and between them, inches."""


def read_graph() -> tuple[dict[str, str], list[tuple[str, str]]]:
    """Return jobs by number, and which needs which."""
    command = child.command("snakemake", "--snakefile", "workflow/Snakefile")
    command += ["--dag", "dot", "--forceall", "--nolock"]
    # The notes of the build that runs this are not read: to them it is no finished job.
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
        number: name if count[name] == 1 else f"{name} (× {count[name]})"
        for name, number in first.items()
    }
    return kept, sorted({(stands[a], stands[b]) for a, b in edges if stands[a] != stands[b]})


def groups(nodes: dict[str, str], edges: list[tuple[str, str]]) -> nx.DiGraph:
    """Return the graph of what is drawn: tuples of the names of jobs with the same neighbours.

    An edge that a longer way implies is left out.
    """
    jobs = nx.DiGraph(edges)
    jobs.add_nodes_from(nodes)
    jobs.remove_nodes_from([number for number, name in nodes.items() if name == "all"])
    jobs = nx.transitive_reduction(jobs)
    alike: dict[object, list[str]] = {}
    for job in sorted(jobs, key=nodes.__getitem__):
        alike.setdefault((frozenset(jobs.pred[job]), frozenset(jobs.succ[job])), []).append(job)
    box = {job: tuple(nodes[other] for other in group) for group in alike.values() for job in group}
    drawn = nx.DiGraph((box[a], box[b]) for a, b in jobs.edges)
    drawn.add_nodes_from(box.values())
    return drawn


def main(target: str) -> None:
    """Write the drawing."""
    drawn = groups(*read_graph())
    # Each box as far down as it can be, so that few arrows pass behind others.
    rows = [
        sorted(row, key=lambda box: (not drawn.pred[box], box))
        for row in nx.topological_generations(drawn.reverse())
    ][::-1]
    height = {box: (len(box) + 1) * LINE for box in drawn}
    top, place = 0.0, {}
    for row in rows:
        for i, box in enumerate(row):
            place[box] = ((i - len(row) / 2) * (WIDTH + GAP), top - height[box])
        top -= max(height[box] for box in row) + 2 * GAP
    width = max(map(len, rows)) * (WIDTH + GAP)
    figure, ax = boxes.blank(width, -top)
    middle = {box: x + WIDTH / 2 for box, (x, _) in place.items()}
    ends = [
        ((middle[a], place[a][1]), (middle[b], place[b][1] + height[b]))
        for a, b in sorted(drawn.edges)
    ]
    boxes.draw(ax, [(place[box], (WIDTH, height[box])) for box in place], ends)
    for box, (_, y) in place.items():
        text = "\n".join(box)
        ax.text(middle[box], y + height[box] / 2, text, ha="center", va="center", fontsize=11)
    ax.set_xlim(-(width + GAP) / 2, (width - GAP) / 2)
    ax.set_ylim(top + GAP, GAP)
    boxes.save(figure, target)


if __name__ == "__main__":
    main(*sys.argv[1:])
