"""Open the built book in the default browser: `make open`."""

from __future__ import annotations

import sys
import webbrowser

from child import ROOT


def main() -> int:
    """Do it; return the exit status."""
    page = ROOT / "build" / "html" / "index.html"
    if not page.is_file():
        print("there is no book yet; build it with: make book", file=sys.stderr)
        return 1
    if not webbrowser.open(page.as_uri()):
        print(f"no browser was found; open {page.as_uri()}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
