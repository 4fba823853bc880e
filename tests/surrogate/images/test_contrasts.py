"""Contrasts: what a radiologist expects of each, and what the numbers must not do."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cpmsurrogate.images.anatomy import Tissue
from cpmsurrogate.images.contrasts import NORMAL_DENSITY, anisotropy, density, signal
from cpmsurrogate.images.lesion import FIELDS, LesionFields

EVERY = ("T1w", "T1wGd", "FLAIR", "ADC", "b0", "rCBV", "leakage")


def tissue(grey: float = 0, white: float = 0, fluid: float = 0, outside: float = -20) -> Tissue:
    return Tissue(*(np.full(1, v, np.float32) for v in (grey, white, fluid, outside, 30)))


def lesion(**values: float) -> LesionFields:
    return LesionFields(*(np.full(1, values.get(name, 0), np.float32) for name in FIELDS))


def value(contrast: str, at: Tissue, of: LesionFields) -> float:
    return float(signal(contrast, at, of)[0])


WHITE, GREY, FLUID = tissue(white=1), tissue(grey=1), tissue(fluid=1)
HEALTHY = lesion()
OEDEMA = lesion(infiltration=1, water=0.7, cells=900)
RIM = lesion(solid=1, infiltration=0.8, water=0.5, enhancement=0.9, cells=3000)
CORE = lesion(solid=1, necrosis=1, water=0.5, cells=180)
CAVITY = lesion(cavity=1)
MASS = lesion(solid=1, infiltration=1, water=0.68, cells=1500)


@pytest.mark.parametrize(
    ("contrast", "rising"),
    [
        ("T1w", [(FLUID, HEALTHY), (GREY, HEALTHY), (WHITE, HEALTHY)]),
        ("T1w", [(WHITE, CAVITY), (WHITE, CORE), (WHITE, MASS), (WHITE, OEDEMA), (WHITE, HEALTHY)]),
        ("T1wGd", [(WHITE, CORE), (WHITE, OEDEMA), (WHITE, RIM)]),
        ("FLAIR", [(FLUID, HEALTHY), (WHITE, HEALTHY), (GREY, HEALTHY), (WHITE, OEDEMA)]),
        ("FLAIR", [(WHITE, CAVITY), (WHITE, HEALTHY), (WHITE, MASS)]),
        (
            "ADC",
            [(WHITE, HEALTHY), (GREY, HEALTHY), (WHITE, OEDEMA), (WHITE, CORE), (FLUID, HEALTHY)],
        ),
        ("b0", [(WHITE, HEALTHY), (GREY, HEALTHY), (WHITE, MASS), (FLUID, HEALTHY)]),
        ("rCBV", [(WHITE, CORE), (WHITE, HEALTHY), (GREY, HEALTHY), (WHITE, RIM)]),
        ("leakage", [(WHITE, HEALTHY), (WHITE, RIM)]),
    ],
)
def test_the_order_of_brightness(contrast: str, rising: list[tuple[Tissue, LesionFields]]) -> None:
    values = [value(contrast, *pair) for pair in rising]
    assert (np.diff(values) > 0).all(), values


@pytest.mark.parametrize(
    ("at", "low", "high"),
    # White matter: Sener RN (2001) Comput Med Imaging Graph 25:299; free water at 37 C is 3000.
    [(WHITE, 600, 1050), (GREY, 750, 950), (FLUID, 2700, 3300)],
)
def test_normal_diffusivities(at: Tissue, low: float, high: float) -> None:
    assert low < value("ADC", at, HEALTHY) < high


def test_cells_lower_the_adc_and_water_raises_it() -> None:
    for of in (RIM, OEDEMA):
        denser = replace(of, cells=2 * of.cells)
        wetter = replace(of, water=of.water + np.float32(0.2))
        assert value("ADC", WHITE, denser) < value("ADC", WHITE, of) < value("ADC", WHITE, wetter)


def test_injury_lowers_the_adc_without_cells() -> None:
    injured = lesion(restriction=1)
    assert value("ADC", WHITE, injured) < 0.7 * value("ADC", WHITE, HEALTHY)
    assert density(WHITE, injured)[0] < density(WHITE, HEALTHY)[0]


def test_air_is_silent_and_scalp_is_bright_on_t1() -> None:
    for contrast in EVERY:
        assert value(contrast, tissue(outside=30), HEALTHY) == 0
    scalp, bone = tissue(outside=10), tissue(outside=3.5)
    assert value("T1w", scalp, HEALTHY) > value("T1w", WHITE, HEALTHY)
    assert value("T1w", bone, HEALTHY) < value("T1w", FLUID, HEALTHY)


@pytest.mark.parametrize(
    ("at", "of", "cells"),
    [
        (WHITE, HEALTHY, NORMAL_DENSITY["white"]),
        (GREY, HEALTHY, NORMAL_DENSITY["grey"]),
        (FLUID, HEALTHY, 0),
        (WHITE, RIM, 3000),
        (FLUID, RIM, 3000),
        (WHITE, CAVITY, 0),
        (tissue(outside=30), HEALTHY, 0),
    ],
)
def test_density_of_pure_places(at: Tissue, of: LesionFields, cells: float) -> None:
    assert density(at, of)[0] == pytest.approx(cells, rel=1e-6)


SHARES = st.floats(0, 1, width=32)


@settings(max_examples=200)
@given(
    shares=st.tuples(SHARES, SHARES, SHARES).filter(lambda s: sum(s) > 0.01),
    fields=st.tuples(*[SHARES] * 7),
    cells=st.floats(0, 7000, width=32),
    texture=st.floats(-4, 4, width=32),
)
def test_no_lesion_gives_an_impossible_signal(
    shares: tuple[float, ...], fields: tuple[float, ...], cells: float, texture: float
) -> None:
    total = sum(shares)
    at = tissue(*(s / total for s in shares))
    of = LesionFields(*(np.full(1, v, np.float32) for v in (*fields, cells, texture)))
    for contrast in EVERY:
        found = value(contrast, at, of)
        assert np.isfinite(found)
        assert 0 <= found < 4500
    assert 0 <= density(at, of)[0] <= 7001
    assert 0 <= anisotropy(at, of)[0] <= 0.75


def test_unknown_contrast_is_named() -> None:
    with pytest.raises(ValueError, match="'PD'"):
        signal("PD", WHITE, HEALTHY)
