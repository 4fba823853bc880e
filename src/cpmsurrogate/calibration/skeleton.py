"""The discrete part of a cohort: who the patients are, and what is known of every sample.

All printed counts hold exactly. Counts of *samples* with a property of the *patient* (high-grade,
IDH wild-type, treatment-naive) are not printed; they follow from the printed means of the groups,
and the patients' numbers of samples are dealt out until they hold.

Vocabulary
----------
- *skeleton*: patients and samples with everything but the measurements.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from cpmsurrogate.calibration.diagnoses import Diagnosis, draw_diagnoses
from cpmsurrogate.calibration.group_sizes import SampleCounts
from cpmsurrogate.calibration.targets import Target, counts, select, whole_number

BATCH = 4000
TRIES = 50

AGE_RANGE = (19, 88)
USUAL_AGE = (50.0, 14.0)
"""Mean and SD where they are not printed."""

USUAL_LOCATIONS = ("frontal", "parietal", "temporal", "occipital")

CASE_NOTE = re.compile(
    r"(?P<age>\d+)-year-old (?P<sex>[MF]); (?P<side>left|right) (?P<location>[a-z-]+) "
    r"(?P<diagnosis>[a-z]+), IDH (?P<idh>wild-type|mutant).*?grade (?P<grade>\d), "
    r"(?P<treatment>treatment-naive|recurrent), (?P<enhancement>non-enhancing|enhancing)"
)


@dataclass(frozen=True)
class Case:
    """A representative case as printed: CPM, ADC, H&E, and what its description says."""

    name: str
    measured: tuple[float, float, float]
    age: int
    sex: str
    side: str
    location: str
    cns5: str
    treatment: str
    enhancement: str

    @property
    def tumour_without_enhancement(self) -> bool:
        """Whether no part of the patient's tumour enhances; a glioblastoma does somewhere."""
        return self.enhancement == "nCET" and not self.cns5.startswith("glioblastoma")


@dataclass
class Skeleton:
    """Patients and samples without measurements.

    One entry a patient up to ``side``; one a sample for ``patient`` (its index), ``enhancement``
    and ``case`` (name or None).
    """

    diagnosis: list[Diagnosis]
    treatment: list[str]
    sex: list[str]
    age: list[int]
    location: list[str]
    side: list[str]
    patient: np.ndarray
    enhancement: list[str]
    case: list[str | None]
    cases: Mapping[str, Case]

    def subsets(self) -> dict[str, np.ndarray]:
        """Every subset that a printed value speaks of, (N,) bool each."""
        treatment = np.array(self.treatment)[self.patient]
        grade = np.array([d.grade_group for d in self.diagnosis])[self.patient]
        idh = np.array([d.idh for d in self.diagnosis])[self.patient]
        enhancement = np.array(self.enhancement)
        result = {"whole": np.ones(len(self.patient), dtype=bool)}
        for column, prefix in ((treatment, ""), (grade, ""), (idh, "IDH "), (enhancement, "")):
            for level in dict.fromkeys(column.tolist()):
                result[prefix + level] = column == level
        for level in ("CET", "nCET"):
            result[f"HGG and {level}"] = (grade == "HGG") & (enhancement == level)
        return result


def read_cases(targets: Mapping[str, Target]) -> dict[str, Case]:
    """Read the representative cases: their values, and their description from the note.

    Raises
    ------
    ValueError
        If a case lacks a value or its description cannot be read.

    Examples
    --------
    >>> from cpmlib.study.published import parse_printed
    >>> note = ("50-year-old F; right temporal glioblastoma, IDH wild-type, grade 4, recurrent, "
    ...         "enhancing")
    >>> texts = {"cpm": "900", "adc": "1100", "he": "2000"}
    >>> targets = {f"case.one.{k}": Target(f"case.one.{k}", "one", v, note if k == "cpm" else "",
    ...            parse_printed(v)) for k, v in texts.items()}
    >>> read_cases(targets)["one"].measured
    (900.0, 1100.0, 2000.0)
    """
    cases = {}
    for name in dict.fromkeys(target.parts[1] for target in select(targets, "case", "*", "*")):
        printed = {t.parts[2]: t for t in select(targets, "case", name, "*")}
        if not {"cpm", "adc", "he"} <= set(printed):
            raise ValueError(f"case {name}: needs cpm, adc and he; found {', '.join(printed)}")
        notes = "; ".join(t.note for t in printed.values() if t.note)
        found = CASE_NOTE.search(notes)
        if found is None:
            expected = "'AGE-year-old SEX; SIDE LOCATION DIAGNOSIS, IDH ..., grade ..., ...'"
            raise ValueError(f"case {name}: found the note {notes!r}; expected {expected}")
        cases[name] = Case(
            name=name,
            measured=tuple(printed[k].value.centre for k in ("cpm", "adc", "he")),  # type: ignore[arg-type]
            age=round(printed["age"].value.centre) if "age" in printed else int(found["age"]),
            sex=found["sex"],
            side=found["side"],
            location=found["location"],
            cns5=f"{found['diagnosis']} grade {found['grade']}",
            treatment=found["treatment"],
            enhancement="nCET" if found["enhancement"].startswith("non") else "CET",
        )
    return cases


def draw_skeleton(targets: Mapping[str, Target], rng: np.random.Generator) -> Skeleton:
    """Draw patients and samples that meet every printed count.

    What is not printed is drawn freely.

    Raises
    ------
    ValueError
        If the printed counts contradict each other, or no arrangement was found.

    Examples
    --------
    >>> from cpmlib.study.published import parse_printed
    >>> texts = {"t1.n_patients": "4", "t1.n_samples": "9", "t1.enhancing": "6"}
    >>> targets = {k: Target(k, "", v, "", parse_printed(v)) for k, v in texts.items()}
    >>> skeleton = draw_skeleton(targets, np.random.default_rng(0))
    >>> len(skeleton.age), len(skeleton.patient), skeleton.enhancement.count("CET")
    (4, 9, 6)
    """
    n = whole_number(targets, "t1.n_patients")
    total = whole_number(targets, "t1.n_samples")
    if n is None or total is None:
        raise ValueError("the printed values need t1.n_patients and t1.n_samples")
    cases = read_cases(targets)
    sample_counts = SampleCounts.choose(targets, total, rng)
    diagnosis = draw_diagnoses(n, counts(targets, "t1.cns4"), counts(targets, "t1.cns5"), rng)
    diagnosis = [diagnosis[int(i)] for i in rng.permutation(n)]
    owned = _place_cases(cases, diagnosis, rng)
    sizes = _deal_sizes(targets, n, total, diagnosis, sample_counts, rng)
    treatment = _choose_treatment(targets, sizes, owned, sample_counts, rng)
    location = _choose_locations(targets, sizes, owned, rng)
    sex = _choose_sex(targets, n, owned, rng)
    age = _choose_ages(targets, n, owned, rng)
    side = [("left", "right")[int(i)] for i in rng.integers(2, size=n)]
    for i, own in owned.items():
        side[i] = own.side
    patient = np.repeat(np.arange(n), sizes)
    case: list[str | None] = [None] * total
    for i, own in owned.items():
        case[int(np.flatnonzero(patient == i)[0])] = own.name
    high = np.array([d.grade_group == "HGG" for d in diagnosis])[patient]
    fixed = {i: cases[name].enhancement for i, name in enumerate(case) if name is not None}
    for i, own in owned.items():
        if own.tumour_without_enhancement:
            fixed |= dict.fromkeys(np.flatnonzero(patient == i).tolist(), "nCET")
    enhancement = _choose_enhancement(targets, high, fixed, rng)
    return Skeleton(
        diagnosis, treatment, sex, age, location, side, patient, enhancement, case, cases
    )


def _place_cases(
    cases: Mapping[str, Case], diagnosis: list[Diagnosis], rng: np.random.Generator
) -> dict[int, Case]:
    """Give every case a patient of its own with its diagnosis; cases by patient."""
    owned: dict[int, Case] = {}
    for name, case in cases.items():
        fitting = [i for i, d in enumerate(diagnosis) if d.cns5 == case.cns5 and i not in owned]
        if not fitting:
            raise ValueError(f"case {name}: no patient with {case.cns5} is left for it")
        owned[fitting[int(rng.integers(len(fitting)))]] = case
    return owned


def _first_fitting(
    draw: Callable[[], np.ndarray], fits: Callable[[np.ndarray], np.ndarray], what: str
) -> np.ndarray:
    """Draw batches until one row fits; the name of what was sought stands in the error."""
    for _ in range(TRIES):
        batch = draw()
        good = np.flatnonzero(fits(batch))
        if len(good):
            return batch[good[0]]
    raise ValueError(f"no arrangement found for {what} in {TRIES * BATCH} draws")


def _deal_sizes(
    targets: Mapping[str, Target], n: int, total: int, diagnosis: list[Diagnosis],
    sample_counts: SampleCounts, rng: np.random.Generator,
) -> np.ndarray:  # fmt: skip
    """Number of samples of each patient, with the printed histogram and group totals."""
    printed = {
        int(target.parts[1].split("_")[2]): round(target.value.centre)
        for target in targets.values()
        if target.id.startswith("t1.patients_with_")
    }
    if printed:
        sizes = np.repeat(list(printed), list(printed.values()))
        if len(sizes) != n or sizes.sum() != total:
            raise ValueError(
                f"samples per patient: the counts give {len(sizes)} patients with {sizes.sum()} "
                f"samples; printed are {n} and {total}"
            )
    else:
        sizes = 1 + np.bincount(rng.integers(n, size=total - n), minlength=n)
    high = np.array([d.grade_group == "HGG" for d in diagnosis])
    wild = np.array([d.idh == "wild-type" for d in diagnosis])

    def fits(batch: np.ndarray) -> np.ndarray:
        good = np.ones(len(batch), dtype=bool)
        for member, wanted in ((high, sample_counts.high_grade), (wild, sample_counts.wild_type)):
            if wanted is not None:
                good &= batch[:, member].sum(1) == wanted
        return good

    return _first_fitting(
        lambda: rng.permuted(np.tile(sizes, (BATCH, 1)), axis=1), fits, "the samples per patient"
    )


def _choose_treatment(
    targets: Mapping[str, Target], sizes: np.ndarray, owned: Mapping[int, Case],
    sample_counts: SampleCounts, rng: np.random.Generator,
) -> list[str]:  # fmt: skip
    n = len(sizes)
    naive = whole_number(targets, "t1.naive")
    naive = n // 2 if naive is None else naive
    fixed = {i: own.treatment == "treatment-naive" for i, own in owned.items()}
    rest = np.array([i for i in range(n) if i not in fixed])
    more = naive - sum(fixed.values())
    if not 0 <= more <= len(rest):
        raise ValueError(f"{naive} treatment-naive patients do not fit the cases")
    mark = np.arange(len(rest)) < more

    def draw() -> np.ndarray:
        batch = np.zeros((BATCH, n), dtype=bool)
        batch[:, rest] = rng.permuted(np.tile(mark, (BATCH, 1)), axis=1)
        batch[:, [i for i, yes in fixed.items() if yes]] = True
        return batch

    wanted = sample_counts.naive
    chosen = _first_fitting(
        draw,
        lambda batch: (batch @ sizes == wanted) if wanted else np.ones(BATCH, dtype=bool),
        "the treatment groups",
    )
    return ["treatment-naive" if yes else "recurrent" for yes in chosen]


def _choose_locations(
    targets: Mapping[str, Target], sizes: np.ndarray, owned: Mapping[int, Case],
    rng: np.random.Generator,
) -> list[str]:  # fmt: skip
    """One location a patient, so that the printed counts of samples hold."""
    n = len(sizes)
    fixed = {i: own.location for i, own in owned.items()}
    printed = counts(targets, "t1.location")
    if not printed:
        drawn = [USUAL_LOCATIONS[int(i)] for i in rng.integers(len(USUAL_LOCATIONS), size=n)]
        return [fixed.get(i, place) for i, place in enumerate(drawn)]
    for _ in range(TRIES * BATCH // 20):
        left = dict(printed)
        for i, place in fixed.items():
            left[place] = left.get(place, 0) - int(sizes[i])
        chosen = dict(fixed)
        for i in rng.permutation([i for i in range(n) if i not in fixed]):
            options = [place for place, count in left.items() if count >= sizes[i]]
            if not options:
                break
            weight = np.array([left[place] for place in options], dtype=float)
            place = options[int(rng.choice(len(options), p=weight / weight.sum()))]
            chosen[int(i)] = place
            left[place] -= int(sizes[i])
        if len(chosen) == n and not any(left.values()):
            return [chosen[i] for i in range(n)]
    raise ValueError("no arrangement found for the locations")


def _choose_sex(
    targets: Mapping[str, Target], n: int, owned: Mapping[int, Case], rng: np.random.Generator
) -> list[str]:
    men = whole_number(targets, "t1.sex_m")
    men = n // 2 if men is None else men
    sex = {i: own.sex for i, own in owned.items()}
    more = men - list(sex.values()).count("M")
    rest = rng.permutation([i for i in range(n) if i not in sex])
    if not 0 <= more <= len(rest):
        raise ValueError(f"{men} men do not fit the representative cases")
    for k, i in enumerate(rest):
        sex[int(i)] = "M" if k < more else "F"
    return [sex[i] for i in range(n)]


def _choose_ages(
    targets: Mapping[str, Target], n: int, owned: Mapping[int, Case], rng: np.random.Generator
) -> list[int]:
    """Whole years whose mean and SD are printed so; drawn normal, then shifted and stretched."""
    printed = [targets.get(f"t1.age_{kind}") for kind in ("mean", "sd")]
    mean, sd = (
        usual if target is None else target.value.centre
        for usual, target in zip(USUAL_AGE, printed, strict=True)
    )
    fixed = {i: own.age for i, own in owned.items()}
    known = np.array(list(fixed.values()), dtype=float)
    rest = n - len(known)
    centre = (n * mean - known.sum()) / rest
    squares = (n - 1) * sd**2 + n * mean**2 - (known**2).sum() - rest * centre**2
    if squares <= 0:
        raise ValueError("the ages of the representative cases leave no room for the printed SD")
    for _ in range(TRIES * BATCH):
        drawn = rng.normal(size=rest)
        drawn = (drawn - drawn.mean()) / drawn.std()
        years = np.round(centre + np.sqrt(squares / rest) * drawn)
        if years.min() < AGE_RANGE[0] or years.max() > AGE_RANGE[1]:
            continue
        everyone = np.concatenate([known, years])
        found = (everyone.mean(), everyone.std(ddof=1))
        if all(t is None or t.value.contains(v) for t, v in zip(printed, found, strict=True)):
            others = iter(years)
            return [fixed[i] if i in fixed else int(next(others)) for i in range(n)]
    raise ValueError("no ages found with the printed mean and SD")


def _choose_enhancement(
    targets: Mapping[str, Target], high: np.ndarray, fixed: Mapping[int, str],
    rng: np.random.Generator,
) -> list[str]:  # fmt: skip
    """Appearance of each sample; the share among high-grade ones as near as can be."""
    total = len(high)
    without = whole_number(targets, "t1.non_enhancing")
    if without is None:
        enhancing = whole_number(targets, "t1.enhancing")
        without = total // 2 if enhancing is None else total - enhancing
    share = targets.get("hgg.share_non_enhancing")
    in_high = without / total if share is None else share.value.centre / 100
    wanted = {True: round(in_high * int(high.sum()))}
    wanted[False] = without - wanted[True]
    result = ["CET"] * total
    for group in (True, False):
        members = np.flatnonzero(high == group)
        done = [i for i in members if fixed.get(int(i)) == "nCET"]
        rest = np.array([i for i in members if int(i) not in fixed], dtype=int)
        more = wanted[group] - len(done)
        if not 0 <= more <= len(rest):
            raise ValueError(f"{wanted[group]} non-enhancing samples do not fit a grade group")
        for i in [*done, *rng.choice(rest, size=more, replace=False)]:
            result[int(i)] = "nCET"
    return result
