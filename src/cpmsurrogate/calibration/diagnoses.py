"""Which diagnoses can belong to one tumour under the WHO classifications of 2016 and 2021.

Vocabulary
----------
- *CNS4*, CNS5: the classifications of 2016 and 2021; the latter needs IDH and 1p/19q status.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cpmlib.study.schemas import DIAGNOSIS_CNS4, DIAGNOSIS_CNS5

NOS = "NOS"

COMPATIBLE = {
    "astrocytoma grade 2": ("astrocytoma grade II", "oligoastrocytoma grade II"),
    "oligodendroglioma grade 2": ("oligodendroglioma grade II", "oligoastrocytoma grade II"),
    "astrocytoma grade 3": (
        "anaplastic astrocytoma grade III",
        "anaplastic oligoastrocytoma grade III",
    ),
    "oligodendroglioma grade 3": (
        "anaplastic oligodendroglioma grade III",
        "anaplastic oligoastrocytoma grade III",
    ),
    "astrocytoma grade 4": (
        "glioblastoma grade IV",
        "anaplastic astrocytoma grade III",
        "anaplastic oligoastrocytoma grade III",
    ),
    "glioblastoma grade 4": ("glioblastoma grade IV",),
    NOS: (
        "oligoastrocytoma grade II",
        "anaplastic oligoastrocytoma grade III",
        "high-grade glioma grade IV",
    ),
}
"""For each CNS5 diagnosis the CNS4 diagnoses that the same tumour can have had.

An oligoastrocytoma, which CNS5 no longer knows, becomes one or the other by its 1p/19q status. An
anaplastic astrocytoma with loss of CDKN2A/B is of grade 4. Mixed and unspecific names remain NOS
where 1p/19q was not tested.
"""

TRIES = 2000


@dataclass(frozen=True)
class Diagnosis:
    """A tumour's diagnoses, named as in `cpmlib.study.schemas`, and what follows from them.

    All but glioblastoma are IDH-mutant, a NOS tumour too, whose missing 1p/19q status (None) is the
    reason for its name. HGG is grade 3 and 4, LGG grade 2.

    Examples
    --------
    >>> tumour = Diagnosis("oligoastrocytoma grade II", "NOS")
    >>> tumour.idh, tumour.codeletion, tumour.grade_group
    ('mutant', None, 'LGG')
    """

    cns4: str
    cns5: str

    @property
    def idh(self) -> str:  # noqa: D102
        return "wild-type" if self.cns5.startswith("glioblastoma") else "mutant"

    @property
    def codeletion(self) -> str | None:  # noqa: D102
        if self.cns5 == NOS:
            return None
        return "codeleted" if self.cns5.startswith("oligodendroglioma") else "intact"

    @property
    def grade_group(self) -> str:  # noqa: D102
        low = self.cns5.endswith("2") or (self.cns5 == NOS and self.cns4.endswith(" II"))
        return "LGG" if low else "HGG"


def draw_diagnoses(
    n: int, cns4: dict[str, int], cns5: dict[str, int], rng: np.random.Generator
) -> list[Diagnosis]:
    """Pair diagnoses of both classifications so that both printed counts hold.

    One for each of n patients, sorted by CNS5; counts are empty where they are not printed.

    Raises
    ------
    ValueError
        If counts do not add up to n, a name is unknown, or the two cannot be paired.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> [d.cns4 for d in draw_diagnoses(2, {}, {"glioblastoma grade 4": 2}, rng)]
    ['glioblastoma grade IV', 'glioblastoma grade IV']
    """
    for printed, known, name in ((cns4, DIAGNOSIS_CNS4, "CNS4"), (cns5, DIAGNOSIS_CNS5, "CNS5")):
        if printed and sum(printed.values()) != n:
            raise ValueError(f"the {name} counts add up to {sum(printed.values())}, not {n}")
        unknown = sorted(set(printed) - set(known))
        if unknown:
            raise ValueError(f"{name} diagnosis {unknown[0]!r} is not in the schema")
    if not cns5 and not cns4:
        cns5 = _spread_evenly(n, rng)
    for _ in range(TRIES):
        pairs = _pair(cns4, cns5, rng)
        if pairs is not None:
            return pairs
    raise ValueError("the CNS4 and CNS5 counts cannot be paired tumour by tumour")


def _spread_evenly(n: int, rng: np.random.Generator) -> dict[str, int]:
    names = [name for name in COMPATIBLE if name != NOS]
    drawn = [names[int(i)] for i in rng.integers(len(names), size=n)]
    return {name: drawn.count(name) for name in names if name in drawn}


def _pair(
    cns4: dict[str, int], cns5: dict[str, int], rng: np.random.Generator
) -> list[Diagnosis] | None:
    """One random attempt; the CNS5 names with the fewest partners choose first."""
    if not cns5:
        choices = {old: [new for new in COMPATIBLE if old in COMPATIBLE[new]] for old in cns4}
        return [
            Diagnosis(old, choices[old][int(rng.integers(len(choices[old])))])
            for old, count in cns4.items()
            for _ in range(count)
        ]
    left = dict(cns4)
    pairs = []
    for new in sorted(cns5, key=lambda name: len(COMPATIBLE[name])):
        for _ in range(cns5[new]):
            options = [old for old in COMPATIBLE[new] if not cns4 or left.get(old, 0) > 0]
            if not options:
                return None
            old = options[int(rng.integers(len(options)))]
            left[old] = left.get(old, 0) - 1
            pairs.append(Diagnosis(old, new))
    order = list(COMPATIBLE)
    return sorted(pairs, key=lambda pair: (order.index(pair.cns5), pair.cns4))
