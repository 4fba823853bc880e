"""Arithmetic of printed counts: shares of a total, and sizes of groups.

Vocabulary
----------
- *group sizes*: one whole number for each group; together they make the total.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence

from cpmlib.study.published import PERCENTAGE, PrintedValue, agrees_if_truncated, parse_printed

ROUNDED, TRUNCATED, WRONG = "rounded", "truncated", "wrong"
MOST_SPLITS = 200_000


def how_printed(percentage: str, count: int, total: int) -> str:
    """Tell how a printed percentage comes from a count: `ROUNDED`, `TRUNCATED` or `WRONG`.

    Examples
    --------
    >>> [how_printed(text, 14, 27) for text in ("52", "51", "50")]
    ['rounded', 'truncated', 'wrong']
    """
    share = 100 * count / total
    if parse_printed(percentage).contains(share):
        return ROUNDED
    return TRUNCATED if agrees_if_truncated(percentage, PERCENTAGE, share) else WRONG


def how_any_printed(percentage: str, total: int) -> tuple[str, int]:
    """Tell the best way in which any whole number of a total gives a percentage, and the number.

    Examples
    --------
    >>> how_any_printed("34", 52), how_any_printed("34", 50)
    (('truncated', 18), ('rounded', 17))
    """
    centre = parse_printed(percentage).centre * total / 100
    nearest = sorted(range(total + 1), key=lambda k: abs(k - centre))[:3]
    ways = [(how_printed(percentage, k, total), k) for k in nearest]
    return min(ways, key=lambda way: (ROUNDED, TRUNCATED, WRONG).index(way[0]))


def group_splits(
    n: int, whole: PrintedValue, means: Sequence[PrintedValue]
) -> list[tuple[int, ...]]:
    """Sizes of groups, each at least 1, that fit the printed means of all and of each group.

    Raises
    ------
    ValueError
        If there are too many ways to try.

    Examples
    --------
    >>> group_splits(4, parse_printed("2.0"), [parse_printed(t) for t in ("1.0", "2.0", "3.0")])
    [(1, 2, 1)]
    """
    ways = math.comb(n - 1, len(means) - 1) if n else 0
    if ways > MOST_SPLITS:
        raise ValueError(f"{ways} ways to divide {n} in {len(means)} groups; too many to try")
    found = []
    for cuts in itertools.combinations(range(1, n), len(means) - 1):
        sizes = tuple(b - a for a, b in itertools.pairwise((0, *cuts, n)))
        low = sum(k * m.low for k, m in zip(sizes, means, strict=True)) / n
        high = sum(k * m.high for k, m in zip(sizes, means, strict=True)) / n
        if low <= whole.high and high >= whole.low:
            found.append(sizes)
    return found


def group_sizes(
    n: int, whole: PrintedValue, first: PrintedValue, second: PrintedValue
) -> list[int]:
    """Sizes of the first of two groups, 1 to n - 1, that fit the printed means of all and of both.

    Examples
    --------
    >>> means = [parse_printed(text) for text in ("1323", "1358", "1195")]
    >>> group_sizes(66, *means)
    [52]
    """
    return [sizes[0] for sizes in group_splits(n, whole, (first, second))]


def fewest_and_most(members: Mapping[int, int], groups: int) -> tuple[int, int]:
    """Fewest and most samples that so many patients can have, by patients for each number.

    Examples
    --------
    >>> fewest_and_most({1: 7, 2: 6, 3: 9, 4: 5}, 13)
    (19, 44)
    """

    def total(order: Iterator[int]) -> int:
        return sum(itertools.islice(order, groups))

    each = sorted(itertools.chain.from_iterable([size] * n for size, n in members.items()))
    return total(iter(each)), total(reversed(each))
