"""The named choices."""

from __future__ import annotations

import dataclasses

import pytest

from cpmlib.study.options import AnalysisOptions, ImageOptions


def test_defaults_round_trip_as_values_and_as_text() -> None:
    values = dataclasses.asdict(AnalysisOptions())
    assert AnalysisOptions.from_mapping(values) == AnalysisOptions()
    text = {name: str(value) for name, value in values.items()}
    assert AnalysisOptions.from_mapping(text) == AnalysisOptions()
    assert AnalysisOptions.from_mapping({}) == AnalysisOptions()


def test_an_option_cannot_change() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        AnalysisOptions().rout_q = 0.05  # type: ignore[misc]


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("rout_q", " 0.05", 0.05),
        ("rout_q", "0", 0.0),
        ("rout_q", 0, 0.0),
        ("n_draws", "200", 200),
        ("spearman_excludes_outliers", "TRUE", True),
        ("rmse_excludes_outliers", "false", False),
        ("mixed_model_estimation", "ML", "ML"),
        ("meng_correlation", "pearson", "pearson"),
    ],
)
def test_text_becomes_the_field_s_type(name: str, text: object, value: object) -> None:
    found = getattr(AnalysisOptions.from_mapping({name: text}), name)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("rout_q", "1"),
        ("rout_q", "-0.01"),
        ("rout_q", "nan"),
        ("rout_q", "one"),
        ("n_draws", "0"),
        ("n_draws", "1.5"),
        ("n_draws", "1000000000000"),
        ("n_draws", "1e12"),
        ("n_draws", "9" * 5000),
        ("seed", "9" * 30),
        ("seed", "-1"),
        ("spearman_excludes_outliers", "yes"),
        ("spearman_excludes_outliers", "1"),
        ("mixed_model_estimation", "reml"),
        ("mixed_model_test", ""),
        ("mann_whitney_method", "Exact"),
        ("grade_grouping", "cns4"),
    ],
)
def test_a_value_that_does_not_fit_is_named(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=f"option {name}"):
        AnalysisOptions.from_mapping({name: value})


@pytest.mark.parametrize(
    "values", [{"rout_q": 1}, {"n_draws": 10.0}, {"rmse_excludes_outliers": 1}, {"seed": True}]
)
def test_direct_construction_checks_types(values: dict) -> None:
    with pytest.raises(ValueError, match=f"option {next(iter(values))}"):
        AnalysisOptions(**values)


def test_an_unknown_option_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"unknown option 'rout_Q'.*rout_q"):
        AnalysisOptions.from_mapping({"rout_Q": 0.05})


def test_pixel_size_of_slides():
    assert ImageOptions().histology_pixel_size_um == 0
    chosen = ImageOptions.from_mapping({"histology_pixel_size_um": "0.25"})
    assert chosen.histology_pixel_size_um == 0.25
    for wrong in ("250", "-1", "nan"):
        with pytest.raises(ValueError, match=r"expected 0.05 to 20.0 µm, or 0"):
            ImageOptions.from_mapping({"histology_pixel_size_um": wrong})
