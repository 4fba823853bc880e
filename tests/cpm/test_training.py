"""Training: what is learnt, what is held out, and that the same seed gives the same bytes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import root_mean_squared_error
from toy import N_PATIENTS, cohort, trained

from cpmlib.book.model_card import training_card
from cpmlib.cpm.model_file import write_model
from cpmlib.cpm.slices import AutopsySlice, draw_patches
from cpmlib.cpm.training import train
from cpmlib.study.errors import DatasetError

QUICK = {"n_trees": 6, "leaf_sizes": (3, 30), "patches_per_slice": 60, "n_jobs": 1}


def test_learns_the_density() -> None:
    model, report = trained()
    held_out = report.held_out
    # Half of what is left without any images; chance would not come near.
    assert model.card.test_rmse < 0.5 * report.rmse_of_mean
    expected = root_mean_squared_error(held_out["density"], held_out["predicted"])
    assert model.card.test_rmse == pytest.approx(expected, rel=1e-12)  # the same formula
    assert model.card.forest["min_samples_leaf"] == 3


def test_no_patient_is_on_both_sides() -> None:
    model, report = trained()
    test, training = set(report.held_out["patient"]), set(report.patient_sd["patient"])
    assert not test & training
    assert test | training == {f"p{i}" for i in range(N_PATIENTS)}
    assert len(test) == model.card.n_patients["test"] == round(N_PATIENTS / 3)
    assert len(training) == model.card.n_patients["train"]


def fingerprints() -> list[AutopsySlice]:
    """T1w tells who a patient is, and a density depends on little else."""
    rng = np.random.default_rng(3)
    level = 1000 * rng.permutation(N_PATIENTS)
    density = rng.uniform(500, 3000, N_PATIENTS)
    result = []
    for number, one in enumerate(cohort()):
        k = number // 2
        counted = (density[k] + 0.05 * one.density).astype(np.float32)
        images = {**one.images, "T1w": one.images["T1w"] + np.float32(level[k])}
        result.append(dataclasses.replace(one, images=images, density=counted))
    return result


def test_a_patient_cannot_be_recognised() -> None:
    """A leak of patches between the sides would make these errors vanish."""
    model, report = train(fingerprints(), seed=0, **QUICK)
    assert model.card.test_rmse > 0.5 * report.rmse_of_mean
    spread = report.held_out["density"].std()
    assert (report.validation["rmse"] > 0.2 * spread).all()


def test_the_reference_is_the_mean_over_patients_unseen() -> None:
    model, report = trained()
    assert model.card.reference_sd == pytest.approx(report.patient_sd["sd"].mean(), rel=1e-12)
    # Two slices of 24 x 20 voxels in the brain, of which 18 x 14 are counted.
    assert set(report.patient_sd["n_patches"]) == {2 * 24 * 20}
    # The deviation of what the toy patients' brains hold is 400; a forest shrinks it.
    assert 200 < model.card.reference_sd < 400
    counted = train(cohort(brain=False), seed=1, **QUICK)[1].patient_sd
    assert set(counted["n_patches"]) == {2 * 18 * 14}


def test_card_says_what_was_done() -> None:
    model, report = trained()
    card = model.card
    assert card.n_tiles["test"] == len(report.held_out)
    assert card.n_slices == {"train": 14, "test": 6}
    assert card.n_tiles["train"] + card.n_tiles["test"] == 150 * 2 * N_PATIENTS
    assert card.forest["n_trees"] == model.forest.n_trees == 12
    assert card.seed == 1
    assert card.synthetic
    assert card.voxel_size == 2.0
    low, high = card.training_range["ADC"]
    assert low < card.training_median["ADC"] < high
    leaves = model.forest.value[model.forest.feature < 0]
    assert card.density_range[0] <= leaves.min() < leaves.max() <= card.density_range[1]


def test_a_reader_sees_no_name_of_the_code() -> None:
    card = dataclasses.replace(trained()[0].card, density_range=(0.0, 12470.0))
    shown = training_card(card).set_index("entry")["value"]
    assert len(shown) == len(dataclasses.fields(card))
    assert not any("_" in text or "e+" in text for text in [*shown.index, *shown])
    assert shown["range of the counted density (cells/mm²)"] == "0 to 12470"
    assert shown["trained on synthetic data"] == "yes"


def test_bytes_depend_on_the_seed_alone(tmp_path: Path) -> None:
    options = {**QUICK, "n_trees": 5}
    for name, seed, n_jobs in (("a", 1, 1), ("b", 1, 2), ("c", 2, 1)):
        model, _ = train(cohort(), seed=seed, **{**options, "n_jobs": n_jobs})
        write_model(tmp_path / name, model)
    a, b, c = ((tmp_path / name).read_bytes() for name in "abc")
    assert a == b
    assert a != c


def test_scaled_inputs_do_not_know_the_gain() -> None:
    """Powers of two scale floating-point numbers without rounding."""
    slices = cohort()
    louder = [
        dataclasses.replace(
            s,
            images={k: v * np.float32(4) for k, v in s.images.items()},
            scale={k: v * 4 for k, v in s.scale.items()},
        )
        for s in slices
    ]
    plain, _ = train(slices, seed=0, input_scaling="whole-brain SD", **QUICK)
    gained, _ = train(louder, seed=0, input_scaling="whole-brain SD", **QUICK)
    for name in plain.forest.TYPES:
        np.testing.assert_array_equal(getattr(plain.forest, name), getattr(gained.forest, name))
    assert plain.card == gained.card


def test_patches_are_drawn_once_and_only_where_there_is_a_value() -> None:
    one = cohort()[0]
    one.images["ADC"][10, 10] = np.nan
    patches = draw_patches([one, one], np.random.default_rng(0), 10_000, "none")
    counted = np.isfinite(one.density)
    counted[8:13, 8:13] = False
    assert len(patches) == 2 * counted.sum()
    assert np.isfinite(patches.features).all()
    few = draw_patches([one], np.random.default_rng(0), 40, "none")
    assert len(np.unique(few.features, axis=0)) == len(few) == 40
    np.testing.assert_array_equal(np.sort(few.density), np.sort(few.density[few.density > 0]))


def changed(**parts: object) -> Callable[[], list[AutopsySlice]]:
    def slices() -> list[AutopsySlice]:
        first, *others = cohort()
        return [dataclasses.replace(first, **parts), *others]

    return slices


def with_image(name: str, values: np.ndarray | None) -> Callable[[], list[AutopsySlice]]:
    def slices() -> list[AutopsySlice]:
        first, *others = cohort()
        images = dict(first.images)
        if values is None:
            del images[name]
        else:
            images[name] = values
        return [dataclasses.replace(first, images=images), *others]

    return slices


@pytest.mark.parametrize(
    ("slices", "message"),
    [
        (list, "no slice"),
        (lambda: cohort()[:8], "4 patients"),
        (with_image("ADC", None), "contrasts FLAIR, T1w, T1wGd"),
        (with_image("T2w", np.ones((28, 24), np.float32)), "T2w"),
        (with_image("ADC", np.ones((28, 23), np.float32)), "ADC of shape"),
        (with_image("ADC", np.full((28, 24), np.inf, np.float32)), "infinite values in ADC"),
        (changed(density=np.full((28, 24), -1, np.float32)), "density below 0"),
        (changed(density=np.full((28, 24), np.inf, np.float32)), "infinite values in density"),
        (changed(brain=np.ones((2, 2), bool)), "brain of shape"),
        (lambda: [*cohort(), dataclasses.replace(cohort()[0], voxel_size=1.0)], "voxels of 1 mm"),
        (lambda: [*cohort(), dataclasses.replace(cohort()[0], voxel_size=np.nan)], "voxels of nan"),
        (
            lambda: [
                *cohort(),
                dataclasses.replace(
                    cohort()[0], patient="new", density=np.full((28, 24), np.nan, np.float32)
                ),
            ],
            "no counted patch of patient new",
        ),
        (
            lambda: [dataclasses.replace(s, brain=np.zeros((28, 24), bool)) for s in cohort()],
            "no brain of patient",
        ),
        (
            lambda: [
                dataclasses.replace(s, density=np.ones((28, 24), np.float32)) for s in cohort()
            ],
            "same density",
        ),
    ],
)
def test_slices_that_cannot_be_used(slices: Callable[[], list[AutopsySlice]], message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        train(slices(), seed=0, **QUICK)


def test_scaling_needs_scales() -> None:
    slices = [dataclasses.replace(s, scale={}) for s in cohort()]
    with pytest.raises(DatasetError, match="no scale above 0 for T1w"):
        train(slices, seed=0, input_scaling="whole-brain SD", **QUICK)


@pytest.mark.parametrize(
    "options", [{"n_trees": 0}, {"leaf_sizes": ()}, {"leaf_sizes": (0,)}, {"patches_per_slice": 0}]
)
def test_arguments_out_of_range(options: dict) -> None:
    with pytest.raises(ValueError, match="1 or more"):
        train(cohort(), seed=0, **{**QUICK, **options})
    with pytest.raises(ValueError, match="input_scaling"):
        train(cohort(), seed=0, input_scaling="z-score", **QUICK)  # type: ignore[arg-type]


def test_a_slice_may_show_the_brain_and_count_nothing() -> None:
    """Then the brain's deviation comes from that slice, and the patches from the others."""
    slices = []
    for one in cohort():
        nothing = np.full_like(one.density, np.nan)
        empty = np.zeros(one.density.shape, dtype=bool)
        slices.append(dataclasses.replace(one, brain=empty))
        slices.append(dataclasses.replace(one, density=nothing))
    model, report = train(slices, seed=1, **QUICK)
    plain, plainly = train(cohort(), seed=1, **QUICK)
    assert model.card.n_slices == plain.card.n_slices
    assert model.card.n_tiles == plain.card.n_tiles
    # The same brains, of which the same number of patches is drawn.
    np.testing.assert_array_equal(report.patient_sd["n_patches"], plainly.patient_sd["n_patches"])
    assert set(report.held_out["slice"] % 2) == {0}
