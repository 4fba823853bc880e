"""Lesions around the targets of the surrogate's patients, and around any others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import ndimage

from cpmlib.study.options import ROI_DIAMETER
from cpmsurrogate.images.anatomy import Anatomy, make_anatomy
from cpmsurrogate.images.contrasts import density
from cpmsurrogate.images.coordinates import MULTIFOCAL, place_targets
from cpmsurrogate.images.lesion import DENSITY_RANGE, FIELDS, Lesion, make_lesion

DATA = Path(__file__).parents[3] / "data" / "surrogate"
PARTICIPANTS = pd.read_csv(DATA / "participants.tsv", sep="\t").set_index("participant_id")
SAMPLES = pd.read_csv(DATA / "samples.tsv", sep="\t")
COARSE = 2.5
"""Step of the lesion's grid in tests that need no detail, mm."""


def sphere() -> np.ndarray:
    radius = ROI_DIAMETER / 2
    axis = np.linspace(-radius, radius, 11)
    points = np.stack(np.meshgrid(axis, axis, axis), axis=-1).reshape(-1, 3)
    return points[(points**2).sum(1) <= radius**2]


def head_with(
    seed: int,
    targets: np.ndarray,
    enhancing: list[bool],
    grade: str,
    treatment: str,
    step: float,
    location: str = "frontal",
) -> tuple[Anatomy, Lesion]:
    rng = np.random.default_rng(seed)
    head = make_anatomy(rng, targets)
    return head, make_lesion(
        rng, head, targets, enhancing, grade, treatment, step, location == MULTIFOCAL
    )


def around(head: Anatomy, lesion: Lesion, step: float = 3.0) -> tuple[np.ndarray, Anatomy, dict]:
    """Give points on a grid over the lesion, with tissue and fields."""
    size = lesion.step * (np.array(lesion.arrays["solid"].shape) - 1)
    axes = [np.arange(o, o + s, step) for o, s in zip(lesion.origin, size, strict=True)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    return points, head.tissue(points), vars(lesion.at(points))


@pytest.mark.parametrize("patient", PARTICIPANTS.index)
def test_every_sample_of_the_surrogate_lies_in_its_kind_of_tissue(patient: str) -> None:
    """Over the whole 5-mm sphere for targets 9 mm apart, on average for closer ones."""
    mine = SAMPLES[SAMPLES["participant_id"] == patient]
    targets = mine[["target_x", "target_y", "target_z"]].to_numpy()
    enhancing = (mine["enhancement"] == "CET").to_numpy()
    row = PARTICIPANTS.loc[patient]
    head, lesion = head_with(
        int(patient[4:]),
        targets,
        enhancing.tolist(),
        row["grade_group"],
        row["treatment"],
        1.5,
        mine["location"].iloc[0],
    )
    for target, is_cet in zip(targets, enhancing, strict=True):
        points = target + sphere()
        fields = lesion.at(points)
        gaps = np.linalg.norm(targets - target, axis=1)
        alone = gaps[gaps > 0].min(initial=np.inf) >= 9
        reduce = (np.min if is_cet else np.max) if alone else np.mean
        if is_cet:
            assert reduce(fields.enhancement) > 0.5
        else:
            assert reduce(fields.enhancement) < 0.15
            assert fields.water.mean() > 0.1
        assert fields.necrosis.mean() < 0.1
        assert fields.cavity.max() < 0.2
        assert 300 < density(head.tissue(points), fields).mean() < 8000


@pytest.mark.parametrize("seed", range(4))
def test_any_placement_keeps_the_kinds_apart(seed: int) -> None:
    rng = np.random.default_rng(seed)
    location = str(rng.choice(["frontal", "temporal", "parietal", "insular", "multifocal"]))
    targets = place_targets(location, "left", 4, rng)
    enhancing = [True, False, True, False]
    grade = ("HGG", "LGG")[seed % 2]
    treatment = ("recurrent", "treatment-naive")[seed // 2 % 2]
    _, lesion = head_with(seed, targets, enhancing, grade, treatment, 1.5, location)
    for target, is_cet in zip(targets, enhancing, strict=True):
        found = lesion.at(target + sphere()).enhancement
        assert found.min() > 0.5 if is_cet else found.max() < 0.15


def test_an_enhancing_high_grade_tumour_is_a_ring() -> None:
    """Its dead core does not enhance, and everything that enhances surrounds or adjoins it."""
    targets = place_targets("frontal", "right", 3, np.random.default_rng(5))
    head, lesion = head_with(1, targets, [True] * 3, "HGG", "treatment-naive", 1.5)
    points, _, fields = around(head, lesion, 1.5)
    core, rim = fields["necrosis"] > 0.8, fields["enhancement"] > 0.5
    assert core.sum() * 1.5**3 > 100  # mm3
    assert fields["enhancement"][core].max() < 0.25
    # From the middle of the core, enhancement lies in most directions.
    toward = points[rim] - points[core].mean(0)
    octants = np.unique((toward > 0) @ [1, 2, 4])
    assert len(octants) >= 6
    assert fields["cavity"].max() == 0


def test_a_low_grade_tumour_without_enhancement_is_an_even_mass() -> None:
    targets = place_targets("fronto-parietal", "right", 3, np.random.default_rng(2))
    head, lesion = head_with(2, targets, [False] * 3, "LGG", "treatment-naive", 1.5)
    _, _, fields = around(head, lesion)
    assert fields["enhancement"].max() == 0
    assert fields["necrosis"].max() == 0
    inside = fields["solid"] > 0.95
    assert inside.sum() * 3.0**3 > 5000  # mm3
    assert fields["water"][inside].std() < 0.15 * fields["water"][inside].mean()


def test_a_high_grade_tumour_enhances_where_no_biopsy_was_taken() -> None:
    targets = place_targets("parietal", "left", 2, np.random.default_rng(3))
    head, lesion = head_with(3, targets, [False] * 2, "HGG", "treatment-naive", 1.5)
    assert around(head, lesion)[2]["enhancement"].max() > 0.5


@pytest.mark.parametrize(("enhancing", "most"), [([False, False], 0.0), ([True, False], 1.0)])
def test_a_tumour_with_idh_mutation_enhances_only_where_a_biopsy_says_so(
    enhancing: list[bool], most: float
) -> None:
    targets = place_targets("parietal", "left", 2, np.random.default_rng(3))
    rng = np.random.default_rng(3)
    lesion = make_lesion(
        rng, make_anatomy(rng, targets), targets, enhancing, "HGG", "treatment-naive", idh="mutant"
    )
    found = lesion.arrays["enhancement"].max()
    assert found == 0 if most == 0 else found > 0.5


def test_recurrence_leaves_a_cavity_without_cells() -> None:
    targets = place_targets("temporal", "right", 2, np.random.default_rng(4))
    head, lesion = head_with(4, targets, [True, False], "HGG", "recurrent", 1.5)
    points, tissue, _ = around(head, lesion)
    fields = lesion.at(points)
    empty = fields.cavity > 0.95
    assert empty.sum() * 3.0**3 > 300  # mm3
    assert density(tissue, fields)[empty].max() < 300
    assert fields.restriction.max() > 0.3


def test_two_foci_are_two_tumours() -> None:
    targets = np.array([[40.0, -20, -15], [25, -75, 15]])
    _, lesion = head_with(5, targets, [True, True], "HGG", "treatment-naive", 2.0, MULTIFOCAL)
    blobs, count = ndimage.label(lesion.arrays["enhancement"] > 0.5)
    index = np.round((targets - lesion.origin) / lesion.step).astype(int)
    labels = {int(blobs[tuple(i)]) for i in index}
    assert count >= 2
    assert len(labels) == 2
    assert 0 not in labels


@pytest.mark.parametrize("seed", range(4))
def test_fields_keep_their_ranges_and_the_brain(seed: int) -> None:
    rng = np.random.default_rng(seed)
    targets = place_targets("temporal", "left", 3, rng)
    head, lesion = head_with(seed, targets, [True, False, True], "HGG", "recurrent", COARSE)
    _, tissue, fields = around(head, lesion)
    outside = tissue.outside > 3
    for name in set(FIELDS) - {"cells", "texture"}:
        assert fields[name].min() >= 0
        assert fields[name].max() <= 1 + 1e-6
        assert fields[name][outside].max() < 0.05
    assert (fields["cells"] >= 0).all()
    solid = (fields["solid"] > 0.99) & (fields["necrosis"] < 0.01)
    # A remainder of necrosis and of infiltrated brain may be in it.
    assert fields["cells"][solid].max() <= DENSITY_RANGE[1] * 1.02
    edge = np.concatenate([a.ravel() for a in _faces(lesion.arrays["solid"])])
    assert edge.max() < 0.01


def _faces(array: np.ndarray) -> list[np.ndarray]:
    return [array[[0, -1]], array[:, [0, -1]], array[:, :, [0, -1]]]


def test_oedema_prefers_white_matter() -> None:
    wetness = []
    for seed in range(3):
        targets = place_targets("frontal", "left", 2, np.random.default_rng(seed))
        head, lesion = head_with(seed, targets, [True, True], "HGG", "treatment-naive", COARSE)
        points, tissue, fields = around(head, lesion)
        near = np.linalg.norm(points[:, None] - targets, axis=-1).min(1) < 22
        brain = near & (fields["solid"] < 0.05)
        wetness.append(
            [fields["water"][brain & (share > 0.8)].mean() for share in (tissue.white, tissue.grey)]
        )
    white, grey = np.mean(wetness, axis=0)
    assert white > 1.5 * grey


def test_the_same_seed_grows_the_same_lesion() -> None:
    targets = np.array([[30.0, 25, 20]])
    first, again, other = (
        head_with(seed, targets, [True], "HGG", "recurrent", COARSE)[1].arrays for seed in (7, 7, 8)
    )
    for name in FIELDS:
        np.testing.assert_array_equal(first[name], again[name])
    assert not np.array_equal(first["cells"], other["cells"])


@pytest.mark.parametrize(
    ("targets", "enhancing", "grade", "treatment", "message"),
    [
        ([], [], "HGG", "recurrent", "at least one target"),
        ([[1, 2, 3]], [True, False], "HGG", "recurrent", "one flag a target"),
        ([[1, 2, np.nan]], [True], "HGG", "recurrent", "finite"),
        ([[1, 2, 3]], [True], "grade 4", "recurrent", "HGG or LGG"),
        ([[1, 2, 3]], [True], "HGG", "naive", "treatment"),
    ],
)
def test_what_does_not_fit_is_refused(
    targets: list, enhancing: list, grade: str, treatment: str, message: str
) -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match=message):
        make_lesion(rng, make_anatomy(rng), targets, enhancing, grade, treatment)
