"""Every printed count holds in every skeleton, and patients are consistent."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from cpmlib.study.published import parse_printed
from cpmsurrogate.calibration.diagnoses import COMPATIBLE, Diagnosis, draw_diagnoses
from cpmsurrogate.calibration.group_sizes import possible_sizes
from cpmsurrogate.calibration.skeleton import draw_skeleton, read_cases
from cpmsurrogate.calibration.targets import Target, counts


@pytest.fixture(scope="module", params=range(4))
def skeleton(targets, request):
    return draw_skeleton(targets, np.random.default_rng(request.param))


def changed(targets, **texts):
    new = dict(targets)
    for name, text in texts.items():
        id = name.replace("__", ".")
        new[id] = Target(id, targets[id].subset, text, targets[id].note, parse_printed(text))
    return new


def test_sizes_that_the_means_imply(targets):
    found = {g: possible_sizes(targets, g, 66) for g in ("enhancement", "grade", "idh")}
    assert found == {"enhancement": [37], "grade": [52], "idh": [28]}
    assert possible_sizes(targets, "treatment", 66) == [34]


def test_counts_of_patients(skeleton, targets):
    assert Counter(skeleton.sex) == {"M": 17, "F": 10}
    assert Counter(skeleton.treatment) == {"treatment-naive": 13, "recurrent": 14}
    assert Counter(d.cns5 for d in skeleton.diagnosis) == counts(targets, "t1.cns5")
    assert Counter(d.cns4 for d in skeleton.diagnosis) == counts(targets, "t1.cns4")
    assert targets["t1.age_mean"].miss(np.mean(skeleton.age)) == 0
    assert targets["t1.age_sd"].miss(np.std(skeleton.age, ddof=1)) == 0


def test_counts_of_samples(skeleton, targets):
    places = Counter(skeleton.location[i] for i in skeleton.patient)
    assert places == counts(targets, "t1.location")
    assert Counter(skeleton.enhancement) == {"CET": 37, "nCET": 29}
    assert Counter(Counter(skeleton.patient.tolist()).values()) == {1: 7, 2: 6, 3: 9, 4: 5}
    sizes = {name: int(mask.sum()) for name, mask in skeleton.subsets().items()}
    assert sizes["HGG"] == 52
    assert sizes["IDH wild-type"] == 28
    assert sizes["treatment-naive"] == 34
    assert sizes["HGG and nCET"] == 18


def test_a_tumour_without_enhancement_has_no_enhancing_sample(skeleton):
    """Of Figs. 3B and 4B the paper says that the astrocytoma does not enhance, not the sample."""
    for name, without in (("fig3a", False), ("fig3b", True), ("fig4a", False), ("fig4b", True)):
        assert skeleton.cases[name].tumour_without_enhancement is without
        mine = skeleton.patient == skeleton.patient[skeleton.case.index(name)]
        if without:
            assert set(np.array(skeleton.enhancement)[mine]) == {"nCET"}


def test_diagnoses_are_consistent(skeleton):
    for d in skeleton.diagnosis:
        assert d.cns4 in COMPATIBLE[d.cns5]
        assert (d.idh == "wild-type") == d.cns5.startswith("glioblastoma")
        assert (d.codeletion == "codeleted") == d.cns5.startswith("oligodendroglioma")


def test_cases_are_as_described(skeleton):
    assert sorted(name for name in skeleton.case if name) == ["fig3a", "fig3b", "fig4a", "fig4b"]
    for i, name in enumerate(skeleton.case):
        if name is None:
            continue
        case, who = skeleton.cases[name], skeleton.patient[i]
        assert skeleton.enhancement[i] == case.enhancement
        assert (skeleton.age[who], skeleton.sex[who]) == (case.age, case.sex)
        assert (skeleton.location[who], skeleton.side[who]) == (case.location, case.side)
        assert skeleton.diagnosis[who].cns5 == case.cns5
        assert skeleton.treatment[who] == case.treatment


def test_same_stream_same_skeleton(targets):
    first, second = (draw_skeleton(targets, np.random.default_rng(9)) for _ in range(2))
    assert first.age == second.age
    assert first.diagnosis == second.diagnosis
    assert np.array_equal(first.patient, second.patient)
    assert first.enhancement == second.enhancement


def test_counts_that_do_not_add_up_are_named(targets):
    with pytest.raises(ValueError, match=r"CNS5 counts add up to 28, not 27"):
        draw_skeleton(changed(targets, t1__cns5__NOS="3"), np.random.default_rng(0))
    with pytest.raises(ValueError, match="men do not fit"):
        draw_skeleton(changed(targets, t1__sex_m="26"), np.random.default_rng(0))


def test_case_without_description_is_named(targets):
    bare = {id: t for id, t in targets.items() if id.startswith("case.fig3a")}
    bare = {id: Target(t.id, t.subset, t.printed, "", t.value) for id, t in bare.items()}
    with pytest.raises(ValueError, match="case fig3a: found the note ''"):
        read_cases(bare)


def test_diagnoses_that_cannot_be_paired():
    with pytest.raises(ValueError, match="cannot be paired"):
        draw_diagnoses(
            1, {"astrocytoma grade II": 1}, {"glioblastoma grade 4": 1}, np.random.default_rng(0)
        )


def test_only_cns4_printed():
    found = draw_diagnoses(3, {"glioblastoma grade IV": 3}, {}, np.random.default_rng(0))
    assert {d.cns4 for d in found} == {"glioblastoma grade IV"}
    assert Diagnosis("high-grade glioma grade IV", "NOS").grade_group == "HGG"


@pytest.mark.parametrize("missing", ["cpm", "adc", "he"])
def test_case_without_a_measurement_is_named_whatever_else_is_printed(targets, missing):
    few = {id: target for id, target in targets.items() if id != f"case.fig3a.{missing}"}
    with pytest.raises(ValueError, match="case fig3a: needs cpm, adc and he"):
        read_cases(few)


def test_a_printed_age_is_the_age_of_the_case(targets):
    assert read_cases(changed(targets, case__fig3a__age="80"))["fig3a"].age == 80
