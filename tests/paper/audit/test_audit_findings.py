"""What the audit finds: in the paper, in an invented paper with planted faults, in bad files."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cpmlib.paper.analysis import regenerate
from cpmlib.paper.audit.findings import (
    CONSISTENT,
    CONTRADICTION,
    EXAMPLE,
    NOT_CHECKED,
    SLIP,
    TENSION,
    by_severity,
    counts,
)
from cpmlib.paper.audit.relations import read_relations
from cpmlib.paper.audit.run import audit_files
from cpmlib.study.dataset import read_dataset
from cpmlib.study.errors import DatasetError
from cpmlib.study.published import agrees_if_truncated, parse_printed
from studies import ROOT

sys.path.insert(0, str(Path(__file__).parent))
import invented

DATA = ROOT / "data"
FILES = [DATA / f"published-{name}" for name in ("values.tsv", "relations.toml", "places.tsv")]


@pytest.fixture(scope="module")
def paper():
    return audit_files(*FILES)


def notable(findings):
    return [f for f in findings if f.severity != CONSISTENT]


def test_everything_in_the_paper_is_checked(paper):
    assert by_severity(paper, NOT_CHECKED) == []
    table = counts(paper).set_index("check").loc["all"]
    assert table[CONTRADICTION] == 1
    assert table[SLIP] == 8
    assert table[TENSION] == 10


# Each worked by hand: 5/27 = 18.52, 14/27 = 51.85, 1/27 = 3.70, 18/52 = 34.62,
# sqrt((34 x 1503^2 + 32 x 3156^2) / 66) = 2448, (65 x 1974^2 - 33 x 1503^2) / 32 = 2363^2;
# 66 x 1974^2 = 66 x 1533^2 + 65 (1461^2 + 324.4^2 - 2 r 1461 x 324.4) at r = .706.
OF_THE_PAPER = [
    (SLIP, "percentages of counts", "18 %", "19 %"),
    (SLIP, "percentages of counts", "51 %", "52 %"),
    (SLIP, "percentages of counts", "3 %", "4 %"),
    (SLIP, "percentages of derived sizes", "34 %", "35 % (18 of 52)"),
    (SLIP, "equal counts, different percentages", "14 of 27 as 51 % and as 52 %", "one percentage"),
    (SLIP, "equal counts, different percentages", "1 of 27 as 3 % and as 4 %", "one percentage"),
    (SLIP, "equal counts, different percentages", "5 of 27 as 18 % and as 19 %", "one percentage"),
    (SLIP, "printed in several places", "-1.3 (Table 2; Results); 1.3 (Abstract)", "one sign"),
    (TENSION, "RMSE of parts and whole", "1974", "2448 to 2449"),
    (CONTRADICTION, "RMSE with samples left out", "3156", "at least 14 of 32 left out, where 11"),
    (TENSION, "RMSE, means and SDs", "1974", "a correlation of 0.7 to 0.71; printed 0.17"),
    (TENSION, "sums of percentages", "100 %", "102 %"),
    (TENSION, "sums of percentages", "100 %", "101 %"),
    (TENSION, "signs of one association", "-0.66, -0.12, 0.22", "one sign"),
    (TENSION, "signs of one association", "0.78, -0.18, -0.08", "one sign"),
    (TENSION, "what is said of an order", "1354 and 1240", "Fig. 4b is called low"),
    (TENSION, "rankings by several measures", "0.41 and -0.37, 0.20 and 0.22", "the same one"),
    (TENSION, "rankings by several measures", "0.51 and -0.37, 0.01 and 0.013", "the same one"),
    (TENSION, "columns that repeat each other", "-0.78 and 0.78, 0.032 and 0.031", "values that"),
]


@pytest.mark.parametrize(("severity", "check", "found", "expected"), OF_THE_PAPER)
def test_findings_of_the_paper(paper, severity, check, found, expected):
    assert any(
        f.severity == severity
        and f.check == check
        and f.found.startswith(found)
        and f.expected.startswith(expected)
        for f in paper
    )


def test_those_are_all_findings_of_the_paper(paper):
    assert len(notable(paper)) == len(OF_THE_PAPER)


def test_sizes_that_follow_from_the_papers_means(paper):
    found = [f.expected for f in paper if f.check == "group means and the mean of all"]
    assert found == [
        "sizes 37 + 29",
        "sizes 52 + 14",
        "sizes 28 + 38",
        "sizes 34 + 32; 33 + 33",  # the second where three intervals touch in a point
    ]


def test_what_an_example_cohort_settles_it_has(paper):
    """Where a finding says that made-up data show values to be possible, the default data do."""
    values = regenerate(read_dataset(ROOT / "data" / "surrogate"))
    printed = {f: f.ids for f in paper if f.evidence == EXAMPLE}
    assert printed
    from cpmlib.study.published import read_published

    texts = read_published(FILES[0])
    for finding, ids in printed.items():
        for id in ids:
            text, statistic = texts.loc[id, ["printed", "statistic"]]
            good = parse_printed(text).contains(values[id])
            assert good or agrees_if_truncated(text, statistic, values[id]), (finding.check, id)


def test_readers_see_no_identifier(paper):
    for f in paper:
        shown = " ".join((f.concerned, f.found, f.expected, f.assumption, *f.steps))
        assert not re.search(r"\b(t1|desc|corr|group|iter|lmm|hgg|case|meng)\.\w", shown), shown


def test_another_paper_that_agrees(tmp_path):
    assert notable(audit_files(*invented.write(tmp_path))) == []


PLANTED = [
    ({"b": "16", "b.percent": "40.0", "a.percent": "62.5"}, "sums of counts", CONTRADICTION),
    ({"a.percent": "63.5"}, "percentages of counts", CONTRADICTION),
    ({"score": "3.21"}, "means of whole numbers (GRIM)", CONTRADICTION),
    ({"score_sd": "1.10"}, "SDs of whole numbers (GRIMMER)", CONTRADICTION),
    ({"dead_sd": "0.40"}, "SDs of zeros and ones (DEBIT)", CONTRADICTION),
    ({"share": "41"}, "percentages of derived sizes", CONTRADICTION),
    ({"ab.p": "0.01"}, "p of a group difference", TENSION),
    ({"a.sd": "19.0"}, "parts and whole", CONTRADICTION),
    ({"case": "230"}, "single values and the SD of all", CONTRADICTION),
    ({"t.p": "0.049"}, "p and its statistic", CONTRADICTION),
    ({"t.p": "0.017"}, "p and its statistic", TENSION),
    ({"F.p": "0.06"}, "p and its statistic", CONTRADICTION),
    ({"r.p": "0.25"}, "p and its statistic", CONTRADICTION),
    ({"z.p": "<0.001"}, "p and its statistic", CONTRADICTION),
    ({"chi2.p": ">0.05"}, "p and its statistic", CONTRADICTION),
    ({"U.p": "0.3"}, "p and its statistic", CONTRADICTION),
    ({"t": "9.20", "t.p": "0.000"}, "p and its statistic", SLIP),
    ({"z.p": "1.2"}, "ranges", CONTRADICTION),
    ({"x.sd": "1.0"}, "slope, R² and SDs", TENSION),
    ({"mixed": "2.2"}, "signs of one association", TENSION),
    ({"left2": "1.9"}, "rankings by several measures", TENSION),
    ({"ryz": "-0.60"}, "sets of correlations", CONTRADICTION),
    ({"meng": "-1.00"}, "Meng's z and its correlations", CONTRADICTION),
]


@pytest.mark.parametrize(("texts", "check", "severity"), PLANTED)
def test_a_planted_fault_is_found(tmp_path, texts, check, severity):
    found = notable(audit_files(*invented.write(tmp_path, texts)))
    assert (check, severity) in {(f.check, f.severity) for f in found}
    planted = set(texts)
    # Nothing is accused that does not use a changed value.
    for f in found:
        assert planted & set(f.ids) or f.check == check or f.severity == NOT_CHECKED, f


ALONE = [3, 2, 4, 5, 6, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 19, 20, 21, 22]


@pytest.mark.parametrize("planted", [PLANTED[i] for i in ALONE])
def test_a_planted_fault_is_found_and_nothing_else(tmp_path, planted):
    texts, check, severity = planted
    found = notable(audit_files(*invented.write(tmp_path, texts)))
    assert [(f.check, f.severity) for f in found] == [(check, severity)]


def test_group_means_that_no_sizes_fit(tmp_path):
    found = notable(audit_files(*invented.write(tmp_path, {"all.mean": "107.0"})))
    assert "no whole numbers of 40" in next(f.expected for f in found if "group" in f.check)
    # What needs the sizes of the groups is named, not computed.
    share = next(f for f in found if f.check == "percentages of derived sizes")
    assert share.severity == NOT_CHECKED
    assert "no sizes" in share.assumption


@pytest.mark.parametrize(
    ("place", "text", "severity"),
    [("slope", "2.4", SLIP), ("slope", "-4.2", SLIP), ("slope", "-2.5", SLIP),
     ("slope", "-2.9", CONTRADICTION),
     ("slope", "-2", CONSISTENT), ("x.mean", "100.4", CONTRADICTION), ("rmse", "17", SLIP)],
)  # fmt: skip
def test_a_value_printed_twice(tmp_path, place, text, severity):
    found = audit_files(*invented.write(tmp_path, places={place: text}))
    twice = [f for f in found if f.check == "printed in several places" and place in f.ids]
    assert [f.severity for f in twice] == [severity]
    assert [f for f in notable(found) if f not in twice] == []


def test_duplicates_in_the_table_are_findings(tmp_path):
    values, relations, places = invented.write(tmp_path)
    with values.open("a") as file:
        file.write("U\tTable 2\tU\tall\t137\t\nU.p\tTable 2\tU.p\tall\tabout .1\t\n")
    found = notable(audit_files(values, relations, places))
    assert [f.severity for f in found] == [CONTRADICTION, NOT_CHECKED]
    assert "130 (Table); 137 (Table 2)" in found[0].found


@pytest.mark.parametrize("text", ["n.s.", "", "0,05", ">0.05"])
def test_a_text_that_is_no_number_is_named_and_the_rest_goes_on(tmp_path, text):
    found = audit_files(*invented.write(tmp_path, {"F": text, "a.percent": text}))
    named = [f.assumption for f in found if f.severity == NOT_CHECKED]
    assert len(named) == 2
    assert all("which is no number" in why for why in named)
    assert len(found) >= 30
    assert [f for f in notable(found) if f.severity != NOT_CHECKED] == []


def test_values_that_are_absent_are_named(tmp_path):
    values, relations, _ = invented.write(tmp_path)
    lines = [line for line in values.read_text().splitlines() if not line.startswith("rmse\t")]
    values.write_text("\n".join(lines) + "\n")
    found = notable(audit_files(values, relations, tmp_path / "none.tsv"))
    assert [f.severity for f in found] == [NOT_CHECKED]
    assert '"rmse" is not among the printed values' in found[0].assumption


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[sum]\n", "a TOML file"),
        ("[[sums]]\ntotal = 'a'\n", "found sums; expected one of sum"),
        ("[sum]\ntotal = 'a'\n", "write each as a table [[sum]]"),
        ("[[sum]]\ntotal = 'a'\n", "the key 'parts': a list of ids"),
        ("[[sum]]\ntotal = 3\nparts = ['a']\n", "expected the id of a printed value"),
        ("[[sum]]\ntotal = 'a'\nparts = ['a']\nfoo = 1\n", "found foo; expected one of total"),
        ("[[sum]]\ntotal = 'a'\nparts = ['a']\ntimes = [1, 2]\n", "2 numbers for 1 parts"),
        ("[[p]]\np = 'a'\nstatistic = 'b'\ntest = 'u'\n", "expected one of t, F, r"),
        ("[[p]]\np = 'a'\nstatistic = 'b'\ntest = 'F'\ndf = 2\n", "the key 'df2'"),
        ("[[share]]\npercent = 'a'\nof = 'grade/0'\n", "found grade/0; expected one of"),
        ("[[parts]]\nwhole = { mean = 'a' }\nparts = []\n", "a table with n, mean"),
        ("[[binary]]\nmean = 'a'\nsd = 'b'\nn = true\n", "expected an id, a whole number"),
    ],
)
def test_a_wrong_file_of_relations_says_what_is_wrong(tmp_path, text, said):
    path = tmp_path / "relations.toml"
    path.write_text(text)
    with pytest.raises(DatasetError) as caught:
        read_relations(path)
    assert said in str(caught.value)
    assert "relations.toml" in str(caught.value)


ODD = ["0", "-1", "1", "0.0", "99999", "1e9", "-0.001", "1.5", "<0", "NaN", "x"]


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.sampled_from(sorted(invented.TEXTS)), st.sampled_from(ODD), max_size=4))
def test_odd_values_are_findings_and_no_tracebacks(tmp_path, texts):
    found = audit_files(*invented.write(tmp_path, texts))
    assert {f.check for f in found} >= {"p and its statistic", "printed in several places"}
    assert len(found) >= len(re.findall(r"^\[\[", invented.RELATIONS, re.M))


def test_a_table_without_a_column_is_refused(tmp_path):
    values, relations, _ = invented.write(tmp_path)
    values.write_text("id\tprinted\na\t1\n")
    with pytest.raises(DatasetError, match="no such column"):
        audit_files(values, relations)
