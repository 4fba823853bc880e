"""Resolve the dependencies and write the two files that pin them.

    python tools/lock.py [--upgrade]

requirements.lock holds every package with its hashes, those that build the book first;
environment.yml the same versions for conda and Binder. Both come from pyproject.toml, so nothing
is pinned twice by hand. Versions stay as they are where they can, unless they are to be upgraded.
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

DEVELOPMENT = "# Development tools: `make book` installs what stands above.\n"

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


def split(lock: str, needed: set[str]) -> str:
    r"""Return a lock file with the packages that are needed first, then the others.

    >>> print(split("a==1 \\\n    --hash=x\nb==2 \\\n    --hash=y\n", {"b==2"}), end="")
    b==2 \
        --hash=y
    # Development tools: `make book` installs what stands above.
    a==1 \
        --hash=x
    """
    blocks = re.split(r"\n(?=[A-Za-z0-9])", lock.replace(DEVELOPMENT, "").rstrip())
    # The same version may be needed on fewer machines.
    versions = {pin.split(" ; ")[0] for pin in needed}
    ours = [block for block in blocks if block.split()[0] in versions]
    others = [block for block in blocks if block not in ours]
    return "\n".join([*ours, DEVELOPMENT.rstrip(), *others, ""])


def _resolve(*arguments: str) -> str:
    command = [str(Path(sys.executable).with_name("uv")), "pip", "compile", "pyproject.toml"]
    command += ["--universal", "--python-version", PYTHON, "--generate-hashes", "--quiet"]
    command += ["--no-header", "--no-annotate", *arguments]
    run = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    return run.stdout


def main() -> None:
    """Write both files."""
    _resolve("--group", "dev", "--output-file", str(LOCK), *sys.argv[1:])
    lock = LOCK.read_text("utf-8")
    needed = pins(_resolve("--group", "install", "--constraint", str(LOCK)))
    LOCK.write_text(split(lock, set(needed)), encoding="utf-8")
    ENVIRONMENT.write_text(environment(LOCK.read_text("utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
