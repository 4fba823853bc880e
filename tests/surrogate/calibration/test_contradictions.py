"""Contradictory print is named, with the arithmetic, before any search."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cpmlib.study.published import parse_printed
from cpmsurrogate.calibration.contradictions import find_contradictions
from cpmsurrogate.calibration.targets import Target


def test_paper_passes(targets):
    assert find_contradictions(targets) == []


@pytest.mark.parametrize(
    ("id", "text", "shown"),
    [
        ("desc.cpm_mean", "99999", "a mean of 99999 lies outside 1 to 20000"),
        ("desc.adc_mean", "12", "a mean of 12 lies outside 50 to 5000"),
        ("desc.cpm_sd", "9000", "have an SD of at most"),
        ("corr.naive.cpm.rho_p", "0.5", "|rho| = 0.41 cannot go with its p: with n = 34"),
        ("corr.naive.cpm.r2", "0.70", "R2 = 0.70 cannot go with its p"),
        ("corr.naive.adc.rho", "-1.4", "is no correlation: it lies outside -1 to 1"),
        ("lmm.naive.adc.p", "1.2", "is no probability: it lies outside 0 to 1"),
        ("meng.naive.p", "0.20", "|z| = 0.27, but p = 0.20 needs"),
        ("group.idh.cpm_mean_b", "1500", "no whole number k of 66 samples gives"),
        ("t1.sex_m", "18", "18 + 10 = 28, but t1.n_patients is 27"),
        ("t1.cns5.NOS", "5", "= 30, but t1.n_patients is 27"),
        ("t1.location.frontal", "20", "= 59, but t1.n_samples is 66"),
        ("t1.patients_with_4_samples", "6", "70 in all"),
        ("case.fig3a.adc", "11450", "11450 lies outside 50 to 5000"),
        ("t1.sex_m.percent", "61", "17 of 27 are 62.96 %, which is not printed 61"),
        ("t1.location.frontal.percent", "42", "27 of 66 are 40.91 %, which is not printed 42"),
    ],
)
def test_contradiction_is_named(targets, id, text, shown):
    old = targets.get(id, Target(id, "", text, "", parse_printed(text)))
    changed = dict(targets) | {id: replace(old, printed=text, value=parse_printed(text))}
    found = find_contradictions(changed)
    assert any(id in contradiction.ids for contradiction in found)
    assert any(shown in str(contradiction) for contradiction in found), [str(c) for c in found]
