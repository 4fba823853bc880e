"""What the paper says in words: the verdict on each claim, on a dataset and on what is printed.

``data/claims.tsv`` lists the claims and says their tests in words; the module `statements` has
the tests. They read values by their ids in the table of printed values, so that one test decides on
both.

A claim is *not estimable* if the dataset lacks a value that the test needs; a counterexample
decides without.

Vocabulary
----------
- *holds*, does not hold: whether what a claim says is found in a dataset, by the test of the claim;
  here that of ``data/claims.tsv``.
- *agree*, disagree, leave it open, not testable: what the printed values say of a claim, each
  anywhere in its rounding interval. They leave it open if rounding does not let them decide.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from pathlib import Path

import pandas as pd

from cpmlib.paper.cases import QUANTITIES, case_title, cases
from cpmlib.paper.claims.conditions import Check, Value, Values, exact_values, printed_values
from cpmlib.paper.claims.names import base_of_p, name_of
from cpmlib.paper.claims.statements import NOTEBOOK, STATEMENTS
from cpmlib.paper.subsets import PREDICTORS, WHERE
from cpmlib.statistics.results import CI_HIGH, CI_LOW
from cpmlib.study.delimited import read_tsv
from cpmlib.study.errors import DatasetError, Problem
from cpmlib.study.schemas import CALIBRATED, OTHER_STUDY

HOLDS = "holds"
FAILS = "does not hold"
NOT_ESTIMABLE = "not estimable"
VERDICTS = (HOLDS, FAILS, NOT_ESTIMABLE)

AGREE = "printed values agree"
DISAGREE = "printed values themselves disagree"
OPEN = "printed values leave it open"
TOO_FEW = "not testable from print"
_OF_PRINT = {HOLDS: AGREE, FAILS: DISAGREE, NOT_ESTIMABLE: TOO_FEW}

COLUMNS = ("id", "where", "claim", "test")
MAX_NAMED = 3
"""How many missing values a sentence names."""


def read_claims(path: Path) -> pd.DataFrame:
    """Read the table of claims: tab-separated, columns as in `COLUMNS`, all text.

    Raises
    ------
    DatasetError
        For a missing column, a repeated id, a claim without test or a test without claim.
    """
    table = read_tsv(path)
    cells, file = table.cells, table.file
    absent = [name for name in COLUMNS if name not in cells.columns]
    if absent:
        raise DatasetError([Problem(file, "no such column", "it", "add it", 1, n) for n in absent])
    problems = []
    for row, id in cells["id"].items():
        if id not in STATEMENTS:
            remedy = "correct the id, or write its test in cpmlib.paper.claims.statements"
            problems.append(Problem(file, id, "a claim with a test", remedy, int(str(row)), "id"))
    for row, id in cells.loc[cells["id"].duplicated(), "id"].items():
        problems.append(
            Problem(file, f"{id} again", "each id once", "rename it", int(str(row)), "id")
        )
    for id in STATEMENTS.keys() - set(cells["id"]):
        found, remedy = f"no claim {id}", "add its row, or remove its test"
        problems.append(Problem(file, found, "a row for each test", remedy, column="id"))
    if problems:
        raise DatasetError(problems)
    return cells[list(COLUMNS)].reset_index(drop=True)


def sample_values(samples: pd.DataFrame) -> dict[str, object]:
    """Return what claims about cases read of the sample table: quartiles, values, locations.

    Examples
    --------
    >>> samples = pd.DataFrame({"cpm": [1.0, 2, 3], "adc": 1.0, "he_cellularity": [2.0, 4, 9]})
    >>> found = sample_values(samples)
    >>> float(found["cohort.cpm.q50"]), float(found["cohort.he.max"])
    (2.0, 9.0)
    """
    found: dict[str, object] = {}
    for key in ("cpm", "he"):
        values = samples[QUANTITIES[key]]
        found |= {f"cohort.{key}.q{100 * q:.0f}": values.quantile(q) for q in (0.25, 0.5, 0.75)}
        found[f"cohort.{key}.max"] = values.max()
    for row in cases(samples).to_dict("records"):
        prefix = f"case.{row['case']}"
        found |= {f"{prefix}.{key}": row[column] for key, column in QUANTITIES.items()}
        location = row["location"]
        found[f"{prefix}.location"] = None if pd.isna(location) else location
    return found


def judge(
    listed: pd.DataFrame, values: Mapping[str, object], published: pd.DataFrame
) -> pd.DataFrame:
    """Test claims on a dataset's values, and on the printed ones.

    Parameters
    ----------
    listed
        As `read_claims` returns them, all or some.
    values
        By the ids of the published table, with those of `sample_values` and of
        `cpmlib.book.cases.image_values`; unknown ones are absent or NaN.
    published
        As `cpmlib.study.published.read_published` returns it.

    Returns
    -------
    pandas.DataFrame
        ``id``, ``where``, ``claim``, ``test``, ``verdict``, ``numbers``, ``missing``, ``printed``
        (the verdict on print), ``printed_numbers``, ``notebook``, ``remark``,
        ``sentence``.
    """
    own, print_ = exact_values(values), printed_values(published)
    rows = []
    for claim in listed.to_dict("records"):
        conditions = STATEMENTS[claim["id"]]
        checks, on_print = ([test(known) for test in conditions] for known in (own, print_))
        verdict = _verdict(checks)
        missing = dict.fromkeys(id for check in checks for id in check.missing)
        row = {str(key): str(claim[key]) for key in COLUMNS} | {
            "claim": _named(claim),
            "verdict": FAILS if verdict == OPEN else verdict,  # exact values leave nothing open
            "numbers": _numbers(checks, own),
            "missing": "; ".join(map(name_of, missing)) if verdict == NOT_ESTIMABLE else "",
            "printed": _OF_PRINT.get(found := _verdict(on_print), found),
            "printed_numbers": _numbers(on_print, print_),
            "notebook": notebook_of(claim["id"]),
        }
        remark = REMARKS.get(claim["id"], lambda *_: "")(checks, own)
        rows.append(row | {"remark": remark, "sentence": sentence(row, remark)})
    return pd.DataFrame(rows)


def _named(claim: Mapping[Hashable, str]) -> str:
    """Begin a claim with a capital, or with the case that it is about."""
    text = claim["claim"]
    if claim["id"].startswith("case."):
        return f"{case_title(claim['id'].split('.')[1])}: {text}"
    return text[:1].upper() + text[1:]


def _where_signs_differ(checks: Sequence[Check], values: Values) -> str:
    pairs = [check.ids[0].split(".")[1:3] for check in checks if check.counterexample]
    where = "; ".join(f"{PREDICTORS[predictor]} in {WHERE[subset]}" for subset, predictor in pairs)
    return f"Signs differ for {where}." if pairs else ""


def _unsettled(checks: Sequence[Check], values: Values) -> str:
    """Say that an error that is lower need not be so, if its difference may be 0."""
    difference = f"{checks[0].ids[0]}_below_whole"
    ends = [values.get(difference + end) for end in (CI_LOW, CI_HIGH)]
    low, high = (end.bounds.low if end and end.bounds else 0.0 for end in ends)
    if checks[0].missing or low > 0 or high < 0 or difference not in values:
        return ""
    return (
        "The difference is not settled: with patients resampled the "
        f"{name_of(difference)} is {values[difference].shown}, an interval that includes 0."
    )


REMARKS: dict[str, Callable[[Sequence[Check], Values], str]] = {
    "confirmation": _where_signs_differ,
    "rmse.hgg_ncet": _unsettled,
}
"""What a sentence adds to the verdict."""


def _verdict(checks: Sequence[Check]) -> str:
    if any(check.counterexample for check in checks):
        return FAILS
    if any(check.missing for check in checks):
        return NOT_ESTIMABLE
    if any(check.holds is False for check in checks):
        return FAILS
    return OPEN if any(check.holds is None for check in checks) else HOLDS


def _numbers(checks: Sequence[Check], values: Values) -> str:
    """Write the values that decided; where there are counterexamples, theirs."""
    deciding = [check for check in checks if check.counterexample] or checks
    ids = dict.fromkeys(id for check in deciding for id in check.ids if id in values)
    return "; ".join(_number(id, values[id], ids) for id in ids)


def _number(id: str, value: Value, beside: Collection[str]) -> str:
    base = base_of_p(id)
    name = "its p" if base and base in beside else name_of(id)
    return f"{name} {value.shown}"


def notebook_of(id: str) -> str:
    """Return the notebook that shows what a claim is about.

    Examples
    --------
    >>> notebook_of("adc.slightly_weaker"), notebook_of("rmse.hgg_ncet")
    ('03_correlations', '06_hgg_non_enhancing')
    """
    return next(name for name, begins in NOTEBOOK.items() if id.startswith(begins))


def sentence(row: Mapping[str, str], remark: str = "") -> str:
    """Say the verdict on a claim, from its row of `judge`, with the numbers.

    Examples
    --------
    >>> row = {"claim": "CPM is higher", "verdict": "holds", "numbers": "p 0.01", "missing": "",
    ...        "printed": "printed values agree", "printed_numbers": "p 0.01"}
    >>> sentence(row)
    'CPM is higher: holds in this dataset (p 0.01). Printed values agree.'
    """
    if row["verdict"] == NOT_ESTIMABLE:
        names = row["missing"].split("; ")
        more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
        said = f"not estimable, since this dataset lacks {'; '.join(names[:MAX_NAMED])}{more}"
    else:
        said = f"{row['verdict']} in this dataset ({row['numbers']})"
    printed = row["printed"][:1].upper() + row["printed"][1:]
    if row["printed"] in (DISAGREE, OPEN):
        printed += f" ({row['printed_numbers']})"
    return " ".join([f"{row['claim']}: {said}.", f"{printed}.", *([remark] if remark else [])])


def totals(table: pd.DataFrame) -> dict[str, int]:
    """Count the verdicts on a dataset.

    Examples
    --------
    >>> totals(pd.DataFrame({"verdict": ["holds", "not estimable"]}))
    {'holds': 1, 'does not hold': 0, 'not estimable': 1}
    """
    verdicts = table["verdict"].to_list()
    return {name: verdicts.count(name) for name in VERDICTS}


def summary(table: pd.DataFrame, relation: str) -> str:
    """Say the totals in one line, and what the dataset is to the paper.

    Examples
    --------
    >>> print(summary(pd.DataFrame({"verdict": ["holds"], "printed": [AGREE]}), CALIBRATED))
    of 1 claims, 1 hold in this dataset, by construction since it was calibrated to the printed
    values; not holding: 0, not estimable: 0; contradicted by the printed values themselves: 0
    """
    count = totals(table)
    meaning = {
        CALIBRATED: ", by construction since it was calibrated to the printed values",
        OTHER_STUDY: ", which is another study than the paper's",
    }.get(relation, "")
    disagree = int((table["printed"] == DISAGREE).sum())
    return (
        f"of {len(table)} claims, {count[HOLDS]} hold in this dataset{meaning}; not "
        f"holding: {count[FAILS]}, not estimable: {count[NOT_ESTIMABLE]}; contradicted by the "
        f"printed values themselves: {disagree}"
    )


def table_claims(table: pd.DataFrame) -> pd.DataFrame:
    """Lay `judge` out for the page, all text."""
    names = {"claim": "Claim", "verdict": "This dataset", "printed": "Print", "where": "Where"}
    return table[list(names)].rename(columns=names)
