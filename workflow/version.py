"""What the pages were built from: version, commit, environment, licence, and how to cite them."""

from __future__ import annotations

import platform
import subprocess
from importlib.metadata import version
from typing import Any

import yaml

from cpmlib.book.markup import escape
from dependencies import ROOT

PACKAGES = ("numpy", "scipy", "pandas", "statsmodels", "pingouin", "scikit-learn", "nibabel")
"""Named on the front page; ``requirements.lock`` has all."""


def commit() -> str:
    """Return the last commit with its day, and whether files differ from it; empty if none is."""
    if _git("rev-parse", "--show-prefix") != "":  # not a clone, or a folder in another one
        return ""
    last = _git("log", "-1", "--format=%h of %cs")
    changed = _git("status", "--porcelain", "--untracked-files=no")
    return f"{last}, with changes since" if last and changed else last or ""


def _git(*arguments: str) -> str | None:
    try:
        found = subprocess.run(
            ["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return found.stdout.strip()


def one_line() -> str:
    """Say in one line which code made the pages."""
    made_by = f"commit {said}" if (said := commit()) else "no commit known"
    return f"Code: cpmlib {version('cpmlib')}, {made_by}"


def front_matter(repository: str | None) -> str:
    """Write how to report a problem and to cite, the licence and the version, in MyST."""
    cited: dict[str, Any] = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    asked = "whoever gave you this copy"
    if repository:
        asked = f"us in the [list of issues]({repository}/issues)"
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return f"""
## Report a problem

Tell {asked} what you did, what you expected and what you saw, with the line *Code* at the foot of
the page. A small dataset that shows the problem helps, if it is made up. Never send data or names
of patients.

## Cite it

The paper {{cite:p}}`nocera2025`. If you used the code or the pages, also: {escape(cited["title"])},
version {escape(cited["version"])}.

## Version and licence

Version
: {escape(one_line().removeprefix("Code: "))}

Environment
: Python {platform.python_version()}, {escape(packages)}; `requirements.lock` pins all packages

Licence
: {escape(cited["license"])}; the paper and its printed values are its authors' and publisher's
"""
