"""What a check needs besides its relation: the printed values, and sizes that follow from them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

from cpmlib.paper.audit.counts import group_splits
from cpmlib.paper.audit.printed import NotThere, Values
from cpmlib.paper.audit.relations import Relation

MOST_SIZES = 10_000


@dataclass
class Context:
    """Printed values, and the ``[[groups]]`` relations by name."""

    values: Values
    groups: dict[str, Relation] = field(default_factory=dict)

    def splits(self, relation: Relation, *, printed: bool = True) -> list[tuple[int, ...]]:
        """Sizes of a relation's groups that fit its means, and its printed sizes if wanted.

        Those that fit best come first: where intervals only touch, halves would have to be rounded
        up in one mean and down in another.
        """
        values = self.values
        means = [values.number(id).interval for id in relation["means"]]
        n, whole = self.size(relation["n"]), values.number(relation["whole"]).interval
        try:
            found = group_splits(n, whole, means)
        except ValueError as error:
            raise NotThere(str(error)) from None
        if printed and relation.get("sizes"):
            sizes = tuple(self.size(spec) for spec in relation["sizes"])
            found = [split for split in found if split == sizes]

        def off(split: tuple[int, ...]) -> float:
            weighted = sum(k * m.centre for k, m in zip(split, means, strict=True))
            return abs(weighted / n - whole.centre)

        return sorted(found, key=off)

    def parts(self, n: int, specs: Sequence[str | int]) -> list[tuple[int, ...]]:
        """Return every way in which sizes can add up to n, the best fitting first."""
        ways = itertools.product(*(self.sizes(spec) for spec in specs))
        return [way for way in ways if sum(way) == n]

    def sizes(self, spec: str | int) -> list[int]:
        """Return every number that a size can be."""
        if isinstance(spec, int):
            return [spec]
        name, _, place = spec.rpartition("/")
        if name not in self.groups:
            count = self.values.count(spec)
            if not count:
                raise NotThere(f"{self.values.name(spec)} is 0")
            return [count]
        found = list(dict.fromkeys(split[int(place)] for split in self.splits(self.groups[name])))
        if not found:
            raise NotThere(f"no sizes of the groups by {name} fit their printed means")
        return found

    def size(self, spec: str | int) -> int:
        """Return the one number that a size can be; raise `NotThere` if there are several."""
        found = self.sizes(spec)
        if len(found) != 1 or found[0] > MOST_SIZES:
            shown = ", ".join(map(str, found[:5]))
            raise NotThere(f"{self.named(spec)}: {shown} is not one number that can be used")
        return found[0]

    def named(self, spec: str | int) -> str:
        """Name a size for a reader."""
        if isinstance(spec, int):
            return str(spec)
        name, _, place = spec.rpartition("/")
        if name not in self.groups:
            return self.values.name(spec)
        id = self.groups[name]["means"][int(place)]
        return f"samples, {self.values.rows.get(id, {}).get('subset') or spec}"


def listed(numbers: Sequence[int]) -> str:
    """Write whole numbers for a reader, runs as ranges.

    Examples
    --------
    >>> listed([31, 32, 33, 36])
    '31 to 33, 36'
    """
    runs: list[list[int]] = []
    for number in sorted(set(numbers)):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ", ".join(str(a) if a == b else f"{a} to {b}" for a, b in runs)
