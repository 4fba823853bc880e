"""What the workflow takes a page to depend on."""

from __future__ import annotations

import sys

import pytest

from studies import ROOT

sys.path.insert(0, str(ROOT / "workflow"))
import dependencies
import graph


def modules(script: str) -> set[str]:
    return {path.removeprefix("src/cpmlib/") for path in dependencies.library_files(script)}


def test_a_notebook_needs_its_modules_and_theirs():
    needed = modules("notebooks/03_correlations.md")
    assert {"rout.py", "correlation.py", "paper/correlations.py", "results.py"} <= needed
    assert "mixed_model.py" not in needed
    assert "group_comparison.py" not in needed


def test_the_cohort_page_needs_no_statistics_of_association():
    assert not {"rout.py", "meng.py", "mixed_model.py"} & modules("notebooks/01_cohort.md")


def test_the_whole_library_is_every_module():
    listed = dependencies.library_files(None)
    assert "src/cpmlib/rout.py" in listed
    assert "src/cpmlib/paper/groups.py" in listed


@pytest.mark.slow
def test_real_imports_are_among_the_declared_ones():
    """Python itself says which modules a notebook loads; each must be declared."""
    import subprocess

    for name in dependencies.notebook_names():
        source = (ROOT / "notebooks" / f"{name}.md").read_text("utf-8")
        imports = [
            line
            for cell in dependencies._CELL.findall(source)
            for line in cell.splitlines()
            if line.startswith(("import ", "from "))
        ]
        imports.append("import sys; print(*[m for m in sys.modules if m.startswith('cpmlib')])")
        run = subprocess.run(
            [sys.executable, "-c", "\n".join(imports)], capture_output=True, text=True, check=True
        )
        declared = modules(f"notebooks/{name}.md")
        for module in run.stdout.split():
            path = module.replace(".", "/").removeprefix("cpmlib").lstrip("/")
            assert {f"{path}.py", f"{path}/__init__.py".lstrip("/")} & declared, (name, module)


def test_implied_edges_are_left_out_of_the_drawing():
    edges = [("a", "b"), ("b", "c"), ("a", "c")]
    assert graph.needed(edges) == [("a", "b"), ("b", "c")]
    assert graph.levels(dict.fromkeys("abc", ""), edges) == {"a": 0, "b": 1, "c": 2}
