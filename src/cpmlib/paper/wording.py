"""Sentences of the pages that depend on what the dataset is and holds."""

from __future__ import annotations

from cpmlib.study.schemas import CALIBRATED, OTHER_STUDY, RELATION, SAME_STUDY

_VERDICTS = """\
Every value that the paper prints stands here beside the value that this book computes, with a
verdict from comparing the two:

- **reproduced**: the regenerated value, rounded as the printed one is, gives the printed text;
- **reproduced if truncated**: it does not, but it is a percentage that gives the printed text when
  it is cut off instead of rounded, as some percentages of the paper's Table 1 are;
- **cannot hold together with the others**: neither, and the other printed values rule the printed
  one out, given the premises that are listed with the argument below; the bound is computed from
  printed values, no sample enters it;
- **not reproduced**: none of these."""

_CALIBRATED = """\
The dataset was *calibrated* to the printed values: agreement is by construction and says nothing
about the study. It shows that the values *can* hold together and that the code computes what the
paper describes."""

_OTHER = f"""\
This dataset is **another study** than the paper's, so that this page compares two studies. Each
value that the paper prints stands beside the same statistic of this dataset, with its 95 % interval
where it has one. The paper prints no intervals; those of some means and rank correlations follow
from the SDs and numbers that it prints. A difference does not say that one of the two is
wrong, and no value is called reproduced or not. A study that *is* the paper's, as it was or
with patients added, says so in its `dataset_description.json`
(`"{RELATION}": "{SAME_STUDY}"`) and gets verdicts."""


def ledger_introduction(relation: str) -> str:
    """Say what the ledger does with a dataset, as Markdown.

    ``relation`` is what it is to the paper, one of `cpmlib.study.schemas.RELATIONS`.

    Examples
    --------
    >>> "calibrated" in ledger_introduction("calibrated")
    True
    >>> "another study" in ledger_introduction("another study")
    True
    """
    if relation == OTHER_STUDY:
        return _OTHER
    return _VERDICTS + (f"\n\n{_CALIBRATED}" if relation == CALIBRATED else "")


def claims_introduction(relation: str) -> str:
    """Say what a verdict on a claim of the paper means for a dataset, as Markdown.

    Examples
    --------
    >>> "by construction" in claims_introduction("calibrated")
    True
    """
    meaning = {
        CALIBRATED: "This dataset was *calibrated* to the printed values: what holds here holds by "
        "construction, and says nothing about the study.",
        OTHER_STUDY: "This dataset is **another study** than the paper's: the claims are tested on "
        "it, and where one does not hold, that does not say that it is wrong in the paper.",
    }.get(relation, "")
    tested = "Each claim is tested in this dataset, and on the printed values where they allow it."
    return f"{tested} {meaning}".rstrip() + "\n"


def choices_meaning(relation: str) -> str:
    """Say what it means that a choice of the analysis loses printed values, as Markdown.

    Examples
    --------
    >>> choices_meaning("calibrated")
    'On calibrated data that only shows what the calibration assumed.'
    """
    if relation == OTHER_STUDY:
        return (
            "This dataset is another study than the paper's: where a value agrees with a printed "
            "one, that is chance, and the counts say nothing about what the authors did."
        )
    if relation == CALIBRATED:
        return "On calibrated data that only shows what the calibration assumed."
    return "A choice that loses many values is one that the authors probably did not make."


def specifications_meaning(relation: str) -> str:
    """Say what the shares of specifications mean for a dataset, as Markdown.

    Examples
    --------
    >>> specifications_meaning("another study")
    ''
    """
    if relation != CALIBRATED:
        return ""
    return (
        "This cohort was calibrated to what is printed, and to a few conditions of our own choice. "
        "What a specification depends on that is not printed, such as the values in other spheres, "
        "those of an undivided map or the means of patients, is one of many possible answers. So "
        "the shares below show how the method works and are no evidence about the study."
    )


def images_absent(present: bool, what: str, empty: str = "figures and tables") -> str:
    """Say that a page has nothing to show; "" where the dataset has what it is about.

    Examples
    --------
    >>> images_absent(False, "images")
    'This dataset holds no images: figures and tables of this page are empty.'
    """
    return "" if present else f"This dataset holds no {what}: {empty} of this page are empty."


def quality_meaning(relation: str) -> str:
    """Say what the statistics of the map's quality can tell of the study, as Markdown.

    Examples
    --------
    >>> "synthetic" in quality_meaning("calibrated")
    True
    """
    if relation == CALIBRATED:
        return (
            "**The samples of this dataset are synthetic, and calibrated to the printed values.** "
            "What is not printed (the bias of each group, the ICC, associations within patients, "
            "intervals, which patient decides a result) was not calibrated to anything printed: "
            "each such number is one of many that are possible beside the same printed values, and "
            "says nothing of the study. The "
            "page shows how the study's own samples would be looked at."
        )
    if relation == OTHER_STUDY:
        return "This dataset is another study than the paper's; all numbers here are its own."
    return "All numbers here are those of the study's own samples."
