"""What changed between two builds."""

from __future__ import annotations

import json

import pandas as pd
import pytest

import changes

PUBLISHED = pd.DataFrame(
    {"statistic": ["Spearman rho, CPM"], "subset": ["whole"], "printed": ["0.17"]},
    index=["corr.whole.cpm.rho"],
)


def build(values: dict[str, float | None], name: str = "Study", q: float = 0.01) -> dict:
    return {"dataset": {"name": name}, "options": {"rout_q": q}, "values": values}


def test_equal_builds_differ_in_nothing() -> None:
    one = build({"corr.whole.cpm.rho": 0.171})
    assert changes.describe(one, one, PUBLISHED) == ["0 of 1 values differ."]


def test_values_are_named_and_written_so_that_they_can_be_told_apart() -> None:
    before = build({"corr.whole.cpm.rho": 0.17123456, "own": None, "gone": 2.0})
    after = build({"corr.whole.cpm.rho": 0.17123457, "corr.whole.cpm.rho.ci_low": 0.1, "own": 3.0})
    assert changes.describe(before, after, PUBLISHED) == [
        "4 of 4 values differ.",
        "",
        "| value | printed | before | after |",
        "| --- | --- | --- | --- |",
        "| Spearman rho, CPM (whole) | 0.17 | 0.17123456 | 0.17123457 |",
        "| Spearman rho, CPM (whole), lower end of the 95 % interval |  | n/a | 0.1 |",
        "| gone |  | 2 | n/a |",
        "| own |  | n/a | 3 |",
    ]


def test_another_dataset_and_other_choices_are_said() -> None:
    told = changes.describe(build({}), build({}, "Other", 0.05), PUBLISHED)
    assert told[1:] == [
        "- dataset, name: Study before, Other after",
        "- options, rout_q: 0.01 before, 0.05 after",
    ]


@pytest.fixture
def folders(tmp_path, monkeypatch):
    monkeypatch.setattr(changes, "SHARED", tmp_path)
    monkeypatch.setattr(changes, "BUILD", tmp_path / "private")
    (tmp_path / "private").mkdir()
    return tmp_path


def test_each_finished_build_is_compared_with_the_one_before(folders) -> None:
    def built(value: float) -> str | None:
        (folders / "values.json").write_text(json.dumps(build({"t1.n_patients": value})))
        return changes.since_last_build()

    assert built(27) is None, "the first build changes nothing"
    assert built(27) is None
    assert not (folders / "changes.md").exists()
    assert built(28) == "1 of 1 values differ."
    listed = (folders / "changes.md").read_text()
    assert "| count of patients (whole) | 27 | 27 | 28 |" in listed
    assert built(28) is None
    assert (folders / "changes.md").read_text() == listed
