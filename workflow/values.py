"""Collect every value of the book in one file.

python workflow/values.py FILE
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from cpmlib.study.schemas import RELATION
from dependencies import BUILD, notebook_names
from leaks import leaks_of, tell
from needs import read_needs


def main(target: str) -> int:
    """Write dataset, options, values by id and tables by notebook; return the exit status."""
    description = json.loads((BUILD / "dataset" / "dataset_description.json").read_text("utf-8"))
    content: dict[str, object] = {
        "dataset": {
            "name": description["Name"],
            "label": description.get("DataLabel", ""),
            "relation": description[RELATION],
        },
        "options": json.loads((BUILD / "options.json").read_text("utf-8")),
    }
    values: dict[str, object] = {}
    tables: dict[str, object] = {}
    for name in notebook_names():
        path = BUILD / "site" / "notebooks" / f"{name}_files" / "values.json"
        if not path.is_file() and not read_needs(name).study:
            continue  # a lesson computes no value of the dataset
        part = json.loads(path.read_text("utf-8"))
        values |= part["values"]
        tables[name] = part["tables"]
    content["values"] = dict(sorted(values.items()))
    content["tables"] = tables
    partial = Path(f"{target}.part")
    partial.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    if shown := leaks_of(partial):
        partial.unlink()
        tell(shown)
        return 1
    partial.replace(target)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
