"""Resolve the dependencies and write the two files that pin them.

    python tools/lock.py

requirements.lock holds every package with its hashes; environment.yml the same versions for conda
and Binder. Both come from pyproject.toml, so nothing is pinned twice by hand.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOCK = ROOT / "requirements.lock"
ENVIRONMENT = ROOT / "environment.yml"
PYTHON = "3.11"
_PIN = re.compile(r"^([A-Za-z0-9_.-]+==[^ \\]+)(?: ; ([^\\]+?))?(?: \\)?$", re.MULTILINE)

HEAD = f"""\
# Written by `make lock` from requirements.lock; the tests check that the two agree.
name: cpmlib
channels:
  - conda-forge
dependencies:
  - python={PYTHON}
  - pip
  - pip:
"""


def pins(lock: str) -> list[str]:
    r"""Return the pinned packages of a lock file, with their markers.

    >>> pins("numpy==2.4.6 ; python_version < '3.12' \\\n    --hash=sha256:0\n")
    ["numpy==2.4.6 ; python_version < '3.12'"]
    """
    return [f"{pin} ; {marker}" if marker else pin for pin, marker in _PIN.findall(lock)]


def environment(lock: str) -> str:
    """Return the text of environment.yml for a lock file."""
    lines = [f"      - {_quoted(pin)}\n" for pin in pins(lock)]
    return HEAD + "".join(lines) + "      - -e .\n"


def _quoted(text: str) -> str:
    return f'"{text}"' if ";" in text else text


def main() -> None:
    """Write both files."""
    command = [str(Path(sys.executable).with_name("uv")), "pip", "compile", "pyproject.toml"]
    command += ["--group", "dev", "--universal", "--python-version", PYTHON, "--generate-hashes"]
    command += ["--quiet", "--no-header", "--no-annotate", "--output-file", str(LOCK)]
    subprocess.run(command, cwd=ROOT, check=True)
    ENVIRONMENT.write_text(environment(LOCK.read_text("utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
