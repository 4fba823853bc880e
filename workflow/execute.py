"""Execute one notebook of the book.

    python workflow/execute.py NAME

Below build/private, reads dataset and options.json, and notebooks/NAME.md; writes
site/notebooks/NAME.ipynb and the folder NAME_files beside it. A failing cell stops it with
the cell's own error and leaves no executed notebook behind.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

import jupytext
import nbformat
from jupyter_client import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError
from traitlets import default

import child

ROOT = Path(__file__).resolve().parents[1]
TIMEOUT = 900
"""Seconds that one cell may take."""


class Kernel(AsyncKernelManager):
    """A kernel of this very Python, whatever is registered under its name, that ends with us.

    It listens on files: ports that are free when they are chosen may be another kernel's a moment
    later, where notebooks run beside each other.
    """

    @default("transport")
    def _transport(self) -> str:
        return "ipc"

    @default("ip")
    def _place(self) -> str:
        return str(Path(tempfile.gettempdir()) / f"kernel-{os.getpid()}")

    def format_kernel_cmd(self, extra_arguments: list[str] | None = None) -> list[str]:
        """Return the command that starts it."""
        connection = ["-f", self.connection_file]
        return child.command("ipykernel_launcher", *connection, *(extra_arguments or []))


def main(name: str) -> int:
    """Do it; return the exit status."""
    build = ROOT / "build" / "private"
    output = build / "site" / "notebooks"
    shutil.rmtree(output / f"{name}_files", ignore_errors=True)
    output.mkdir(parents=True, exist_ok=True)
    notebook = jupytext.read(ROOT / "notebooks" / f"{name}.md")
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number}"  # not a random one: two equal builds are equal
    os.environ.update(
        CPMLIB_DATASET=str(build / "dataset"),
        CPMLIB_OPTIONS=(build / "options.json").read_text(encoding="utf-8"),
        CPMLIB_IMAGE_OPTIONS=(build / "image_options.json").read_text(encoding="utf-8"),
        CPMLIB_OUTPUT=str(output),
        CPMLIB_BUILD=str(build),
        CPMLIB_PUBLISHED=str(ROOT / "data" / "published-values.tsv"),
        # One thread each: the notebooks run beside each other, and sums keep their order.
        OMP_NUM_THREADS="1",
        OPENBLAS_NUM_THREADS="1",
        MPLBACKEND="agg",
        PYTHONHASHSEED="0",
    )
    client = NotebookClient(
        notebook,
        timeout=TIMEOUT,
        # What a cell shows is waited for as long: on a busy machine the default of 4 s loses it.
        iopub_timeout=TIMEOUT,
        raise_on_iopub_timeout=True,
        kernel_name="python3",
        kernel_manager_class=Kernel,
        resources={"metadata": {"path": str(ROOT / "notebooks")}},
    )
    try:
        client.execute(stdin=0)  # ours, see child.py
    except CellExecutionError as error:
        print(f"notebooks/{name}.md: a cell failed\n{error}")
        return 1
    except RuntimeError as error:
        # One that is killed while it starts has no error of its own.
        if not isinstance(error, DeadKernelError) and "Kernel died" not in str(error):
            raise
        print(f"notebooks/{name}.md: its process {child.KILLED}")
        return 1
    (output / f"{name}_files").mkdir(exist_ok=True)
    _keep_warnings_off_the_page(notebook)
    # Times of execution would make two equal builds differ.
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
    nbformat.write(notebook, output / f"{name}.ipynb")
    return 0


def _keep_warnings_off_the_page(notebook: nbformat.NotebookNode) -> None:
    """Move what went to standard error to the log: it names folders of this machine."""
    for cell in notebook.cells:
        outputs = cell.get("outputs", [])
        for output in outputs:
            if output.get("name") == "stderr":
                print(output["text"])
        if outputs:
            cell["outputs"] = [output for output in outputs if output.get("name") != "stderr"]


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
