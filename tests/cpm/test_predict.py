"""Maps against scikit-learn on the same patches, and what must not change them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nilearn import datasets
from sklearn.ensemble import RandomForestRegressor
from toy import AFFINE, contrasts, patches_by_numpy, patient, stack, trained

from cpmlib.cpm.forest import Forest, from_sklearn
from cpmlib.cpm.model_file import CpmModel
from cpmlib.cpm.predict import cellularity_map, predict_at, predict_map
from cpmlib.mri.images import CONTRASTS
from cpmlib.study.errors import DatasetError


def values(image: nib.Nifti1Image) -> np.ndarray:
    data: np.ndarray = np.asarray(image.dataobj)
    assert data.dtype == np.float32
    return data


def inside(mask: nib.Nifti1Image) -> np.ndarray:
    return np.asarray(mask.dataobj) > 0


def test_map_of_the_mni_brain_is_scikit_learns() -> None:
    """Real anatomy; contrasts mixed from the template and its tissue maps."""
    template = datasets.load_mni152_template(resolution=2)
    t1 = np.asarray(template.dataobj, dtype=np.float32)[..., 32:40]
    grey = np.asarray(datasets.load_mni152_gm_template(resolution=2).dataobj)[..., 32:40]
    brain = np.asarray(datasets.load_mni152_brain_mask(resolution=2).dataobj)[..., 32:40]
    noise = np.random.default_rng(0).normal(0, 0.02, (4, *t1.shape))
    mixed = np.stack([t1, t1 + 0.3 * grey, 1 - t1, 3 - 2 * t1])
    volumes = (mixed + noise).astype(np.float32)
    volumes[3] = 750 * volumes[3]
    patches = patches_by_numpy(volumes)[brain > 0]
    taught = np.random.default_rng(1).choice(len(patches), 2000, replace=False)
    peer = RandomForestRegressor(10, min_samples_leaf=5, max_features=0.2, random_state=0)
    peer.fit(patches[taught], 1000 + 2000 * patches[taught].mean(axis=1) / patches.mean())
    model = CpmModel(from_sklearn(peer), dataclasses.replace(trained()[0].card, voxel_size=2.0))
    affine = template.affine
    images = {n: nib.Nifti1Image(v, affine) for n, v in zip(CONTRASTS, volumes, strict=True)}
    raw = values(predict_map(model, images, nib.Nifti1Image(brain.astype(np.uint8), affine)))
    assert np.isnan(raw[brain == 0]).all()
    # What the maps must agree to: both float32 roundings, of leaves and of the map, are smaller.
    np.testing.assert_allclose(raw[brain > 0], peer.predict(patches), rtol=0, atol=1e-3)


def test_threads_and_a_few_voxels_give_the_same_bytes() -> None:
    model = trained()[0]
    images, _ = patient((44, 40, 24))
    mask = nib.Nifti1Image(np.ones((44, 40, 24), np.uint8), AFFINE)
    maps = [values(predict_map(model, images, mask, threads=n)) for n in (1, 2, 5, None)]
    assert len({data.tobytes() for data in maps}) == 1
    voxels = np.argwhere(np.ones((44, 40, 24), dtype=bool))
    few = predict_at(model, stack(images), voxels[::7])
    np.testing.assert_array_equal(few.astype(np.float32), maps[0].reshape(-1)[::7])


def test_order_in_memory_does_not_matter() -> None:
    model = trained()[0]
    images, mask = patient()
    turned = {n: nib.Nifti1Image(np.asfortranarray(values(i)), AFFINE) for n, i in images.items()}
    np.testing.assert_array_equal(
        values(predict_map(model, turned, mask)), values(predict_map(model, images, mask))
    )


def test_masked_map_is_part_of_the_whole_one() -> None:
    model = trained()[0]
    images, mask = patient()
    everywhere = nib.Nifti1Image(np.ones(mask.shape, np.uint8), AFFINE)
    part, whole = (
        values(predict_map(model, images, mask)),
        values(predict_map(model, images, everywhere)),
    )
    np.testing.assert_array_equal(part, np.where(inside(mask), whole, np.nan))


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_voxels_in_any_order(seed: int) -> None:
    model, volumes = trained()[0], stack(patient()[0])
    rng = np.random.default_rng(seed)
    voxels = rng.integers(0, volumes.shape[1:], (30, 3))
    order = rng.permutation(30)
    whole = predict_at(model, volumes, voxels)
    np.testing.assert_array_equal(predict_at(model, volumes, voxels[order]), whole[order])
    turned = np.asfortranarray(volumes)
    np.testing.assert_array_equal(predict_at(model, turned, voxels), whole)


MIRRORS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "first axis": lambda a: a[:, ::-1],
    "second axis": lambda a: a[:, :, ::-1],
    "axes exchanged": lambda a: a.transpose(0, 2, 1, 3),
}


@pytest.mark.parametrize("name", [*MIRRORS])
def test_mirrored_images_and_a_mirrored_forest(name: str) -> None:
    """Moving every patch and every question the same way moves the map and changes nothing."""
    model, volumes = trained()[0], stack(patient()[0])
    mirror = MIRRORS[name]
    moved = mirror(np.arange(100).reshape(4, 5, 5, 1)).reshape(-1)
    feature = model.forest.feature
    asks = np.where(feature < 0, feature, np.argsort(moved)[feature]).astype(np.int16)
    turned = CpmModel(
        Forest(**{**{n: getattr(model.forest, n) for n in Forest.TYPES}, "feature": asks}),
        model.card,
    )
    voxels = np.argwhere(np.ones(volumes.shape[1:], dtype=bool))
    plain = predict_at(model, volumes, voxels).reshape(1, *volumes.shape[1:])
    image = mirror(volumes)
    voxels = np.argwhere(np.ones(image.shape[1:], dtype=bool))
    found = predict_at(turned, image, voxels).reshape(1, *image.shape[1:])
    np.testing.assert_array_equal(found, mirror(plain))
    assert not np.array_equal(predict_at(model, image, voxels).reshape(found.shape), found)


def test_output_normalisation_gives_every_patient_the_reference_sd() -> None:
    model = trained()[0]
    for seed in (5, 6):
        images, mask = patient(seed=seed)
        raw = values(predict_map(model, images, mask))[inside(mask)]
        result = cellularity_map(model, images, mask, "output")
        assert result.raw_sd == pytest.approx(raw.std(dtype=float), rel=1e-12)
        assert result.factor == model.card.reference_sd / result.raw_sd
        # float32 values, of which the deviation is taken.
        found = values(result.image)[inside(mask)].std(dtype=float)
        assert found == pytest.approx(model.card.reference_sd, rel=1e-6)


def test_no_normalisation_is_the_raw_map() -> None:
    model = trained()[0]
    images, mask = patient()
    result = cellularity_map(model, images, mask, "none")
    np.testing.assert_array_equal(values(result.image), values(predict_map(model, images, mask)))
    assert result.factor == 1


def test_input_normalisation_does_not_know_the_gain() -> None:
    """Powers of two scale without rounding; the deviation is taken of the brain alone."""
    model = trained("whole-brain SD")[0]
    images, mask = patient()
    plain = values(cellularity_map(model, images, mask, "input").image)
    gain = {"T1w": 4, "T1wGd": 0.5, "FLAIR": 8, "ADC": 2**-10}
    louder = {
        n: nib.Nifti1Image(values(i) * np.float32(gain[n]), AFFINE) for n, i in images.items()
    }
    np.testing.assert_array_equal(
        values(cellularity_map(model, louder, mask, "input").image), plain
    )
    divided = {
        n: nib.Nifti1Image(values(i) / np.float32(values(i)[inside(mask)].std(dtype=float)), AFFINE)
        for n, i in images.items()
    }
    np.testing.assert_array_equal(values(predict_map(model, divided, mask)), plain)


def test_a_voxel_without_a_value_takes_its_neighbours_with_it() -> None:
    model = trained()[0]
    images, mask = patient()
    values(images["FLAIR"])[10, 10, 3] = np.nan
    result = cellularity_map(model, images, mask, "none")
    absent = np.argwhere(np.isnan(values(result.image)) & inside(mask))
    assert len(absent) == 25
    assert (np.abs(absent - [10, 10, 3]) <= [2, 2, 0]).all()
    assert np.isnan(predict_at(model, stack(images), absent)).all()
    assert np.isnan(values(result.extrapolation)[tuple(absent.T)]).all()


def test_extrapolation_is_counted_by_contrast() -> None:
    model = trained()[0]
    images, mask = patient()
    for name, image in images.items():
        low, high = model.card.training_range[name]
        image = nib.Nifti1Image(np.clip(values(image), low, high), AFFINE)
        images[name] = image
    none = cellularity_map(model, images, mask, "none")
    assert set(none.extrapolation_share) == {*CONTRASTS, "any"}
    assert not any(none.extrapolation_share.values())
    values(images["ADC"])[10, 10, 3] = np.nextafter(
        np.float32(model.card.training_range["ADC"][1]), np.float32(np.inf)
    )
    values(images["T1w"])[10, 11, 3] = -5
    some = cellularity_map(model, images, mask, "none")
    counts = values(some.extrapolation)
    assert np.array_equal(np.isnan(counts), ~inside(mask))
    assert [(counts == k).sum() for k in (1, 2, 3)] == [10, 20, 0]
    n = inside(mask).sum()
    assert some.extrapolation_share == pytest.approx(
        {"T1w": 25 / n, "T1wGd": 0, "FLAIR": 0, "ADC": 25 / n, "any": 30 / n}
    )


def without(name: str) -> Callable[[dict], dict]:
    return lambda images: {k: v for k, v in images.items() if k != name}


def replaced(name: str, change: Callable[[np.ndarray], np.ndarray]) -> Callable[[dict], dict]:
    return lambda images: {**images, name: nib.Nifti1Image(change(values(images[name])), AFFINE)}


def at(value: float) -> Callable[[np.ndarray], np.ndarray]:
    def change(data: np.ndarray) -> np.ndarray:
        data = data.copy()
        data[10, 10, 3] = value
        return data

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without("ADC"), "no ADC"),
        (lambda images: {**images, "T2w": images["T1w"]}, "T2w besides"),
        (replaced("T1w", lambda data: data[:-1]), "T1w: found a grid of"),
        (replaced("FLAIR", at(np.inf)), r"infinite value at voxel \(10, 10, 3\)"),
        (replaced("ADC", lambda data: data / 1000), "ADC: found a median of 1"),
        (replaced("ADC", lambda data: data * 1000), "convert the map to that unit"),
        (replaced("T1w", lambda data: np.full_like(data, np.nan)), "all neighbours"),
    ],
)
def test_images_that_do_not_fit(change: Callable[[dict], dict], message: str) -> None:
    images, mask = patient()
    with pytest.raises(DatasetError, match=message):
        cellularity_map(trained()[0], change(images), mask)


@pytest.mark.parametrize(
    ("affine", "message"),
    [
        (np.diag([-2.0, 2, 2, 1]), "axes LAS"),
        (np.array([[0, 2, 0, 0], [2, 0, 0, 0], [0, 0, 2, 0], [0, 0, 0, 1.0]]), "axes ARS"),
        (np.diag([2.3, 2, 2, 1]), "2.3 x 2 mm"),
        (np.diag([1.0, 1, 1, 1]), "resample the images to the model's voxel size"),
    ],
)
def test_grids_that_do_not_fit(affine: np.ndarray, message: str) -> None:
    images, mask = patient()
    images = {name: nib.Nifti1Image(values(image), affine) for name, image in images.items()}
    with pytest.raises(DatasetError, match=message):
        cellularity_map(trained()[0], images, nib.Nifti1Image(inside(mask).astype("u1"), affine))


def test_thick_slices_and_a_slightly_other_voxel_size_fit() -> None:
    images, mask = patient()
    affine = np.diag([2.1, 1.9, 5.0, 1.0])
    images = {name: nib.Nifti1Image(values(image), affine) for name, image in images.items()}
    mask = nib.Nifti1Image(inside(mask).astype(np.uint8), affine)
    assert np.isfinite(values(cellularity_map(trained()[0], images, mask).image)).any()


def test_one_contrast_elsewhere() -> None:
    images, mask = patient()
    shifted = AFFINE.copy()
    shifted[0, 3] = 1
    images["FLAIR"] = nib.Nifti1Image(values(images["FLAIR"]), shifted)
    with pytest.raises(DatasetError, match="FLAIR: found a grid"):
        cellularity_map(trained()[0], images, mask)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (np.zeros((20, 22, 6), np.uint8), "no voxel inside"),
        (np.full((20, 22, 6), np.nan, np.float32), "no voxel inside"),
        (np.full((20, 22, 6), 0.5, np.float32), "other than 0 and 1"),
    ],
)
def test_masks_that_are_none(data: np.ndarray, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        cellularity_map(trained()[0], patient()[0], nib.Nifti1Image(data, AFFINE))


def test_nothing_to_divide_by() -> None:
    images, mask = patient()
    flat = {n: nib.Nifti1Image(np.full_like(values(i), 900), AFFINE) for n, i in images.items()}
    with pytest.raises(DatasetError, match="do not vary"):
        cellularity_map(trained()[0], flat, mask, "output")
    with pytest.raises(DatasetError, match="T1w: found"):
        cellularity_map(trained("whole-brain SD")[0], flat, mask, "input")
    assert cellularity_map(trained()[0], flat, mask, "none").raw_sd == 0


@pytest.mark.parametrize(
    ("scaling", "normalise"),
    [("none", "input"), ("whole-brain SD", "output"), ("whole-brain SD", "none")],
)
def test_normalisation_the_model_was_not_trained_for(scaling: str, normalise: str) -> None:
    images, mask = patient()
    with pytest.raises(DatasetError, match="input scaling"):
        cellularity_map(trained(scaling)[0], images, mask, normalise)  # type: ignore[arg-type]


def test_unknown_normalisation() -> None:
    with pytest.raises(ValueError, match="normalise is 'z'"):
        cellularity_map(trained()[0], *patient(), "z")  # type: ignore[arg-type]


def test_a_new_patient_is_predicted() -> None:
    """Against the density behind the images; better than half of its deviation."""
    shape = (20, 22, 6)
    images, density = contrasts(shape, np.random.default_rng(5))
    voxels = np.argwhere(np.ones(shape, dtype=bool))
    volumes = np.stack([images[name] for name in CONTRASTS])
    error = predict_at(trained()[0], volumes, voxels) - density.reshape(-1)
    assert np.sqrt((error**2).mean()) < 0.6 * density.std()
