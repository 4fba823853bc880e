"""What the pages were built from: version, commit, environment, licence, and how to cite them."""

from __future__ import annotations

import hashlib
import platform
import subprocess
from importlib.metadata import version
from typing import Any

import yaml

from cpmlib.book.markup import escape
from dependencies import ROOT

PACKAGES = ("numpy", "scipy", "pandas", "statsmodels", "pingouin", "scikit-learn", "nibabel")
"""Named on the front page; ``requirements.lock`` has all."""


MADE_FROM = ("src", "workflow", "notebooks", "book", "data", "_config.yml", "requirements.lock")
"""What decides over the pages; here a file that is not committed counts as a change too."""


def commit(form: str = "%h of %cs", changes: str = ", with changes since") -> str:
    """Return the last commit with its day, and whether files differ from it; empty if none is."""
    if _git("rev-parse", "--show-prefix") != "":  # not a clone, or a folder in another one
        return ""
    last = _git("log", "-1", f"--format={form}")
    changed = _git("status", "--porcelain", "--", *MADE_FROM)
    return f"{last}{changes}" if last and changed else last or ""


def code_version() -> str:
    """Return what stands under each figure and table: the commit, or the version without one."""
    return commit("%h", " with changes") or f"cpmlib {version('cpmlib')}"


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


def _paper(cited: dict[str, Any]) -> str:
    """Write the citation of the paper, in MyST."""
    names = [f"{who['family-names']} {_initials(who['given-names'])}" for who in cited["authors"]]
    said = f"{', '.join(names)}. {cited['title']}. {cited['journal']} ({cited['year']})."
    return f"{escape(said)} <https://doi.org/{cited['doi']}>"


def _initials(names: str) -> str:
    return "".join(name[0] for name in names.split())


def front_matter(repository: str | None) -> str:
    """Write how to report a problem and to cite, the licence and the version, in MyST."""
    cited: dict[str, Any] = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    asked = "whoever gave you this copy"
    if repository:
        asked = f"us in the [list of issues]({repository}/issues)"
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    locked = hashlib.sha256((ROOT / "requirements.lock").read_bytes()).hexdigest()[:12]
    return f"""
## Report a problem

Tell {asked} what you did, what you expected and what you saw, with the line *Code* at the foot of
the page. A small dataset that shows the problem helps, if it is made up. Never send data or names
of patients.

## Cite it

The paper: {_paper(cited["preferred-citation"])}

If you used the code or the pages, also: {escape(cited["title"])}, version
{escape(cited["version"])}. {{download}}`CITATION.cff` has both for a reference manager.

## Version and licence

Version
: {escape(one_line().removeprefix("Code: "))}

Environment
: Python {platform.python_version()}, {escape(packages)}; `requirements.lock` pins all packages
  (its SHA-256 begins with {locked})

Licence
: {escape(cited["license"])}; the paper and its printed values are its authors' and publisher's
"""
