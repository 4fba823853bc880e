"""Colours: spelt in one place, and told apart by colour-blind readers where they meet."""

from __future__ import annotations

import re
from itertools import combinations

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from skimage.color import deltaE_ciede2000, rgb2lab

from cpmlib.figures import (
    agreement,
    histology,
    map_quality,
    perfusion,
    quality,
    registration,
    specification_curve,
    style,
)
from cpmlib.figures.style import COLOUR
from studies import ROOT

SIGHT = {
    "full": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
"""What a reader sees of linear RGB: severity 1.0 of G. M. Machado, M. M. Oliveira and L. A. F.
Fernandes, IEEE Transactions on Visualization and Computer Graphics 15, 1291-1298 (2009)."""

OKABE_ITO = (
    *("#000000", "#E69F00", "#56B4E9", "#009E73"),
    *("#F0E442", "#0072B2", "#D55E00", "#CC79A7"),
)
"""M. Okabe and K. Ito, Color Universal Design (2008)."""

DARK_PAGE = "#14181E"
"""Behind what the theme shows in the dark."""

TOGETHER = {
    "enhancement": (COLOUR["CET"], COLOUR["nCET"]),
    "grade": (COLOUR["HGG"], COLOUR["LGG"]),
    "mutation": (COLOUR["IDH wild-type"], COLOUR["IDH mutant"]),
    "treatment": (COLOUR["Treatment-naïve"], COLOUR["Recurrent"], COLOUR["Whole cohort"]),
    "lines": (COLOUR["CET"], COLOUR["HGG"], "black"),
    "patients": style.PATIENTS,
    "verdicts": (*agreement.VERDICT_COLOUR.values(), style.BAND),
    "specifications": (*(getattr(specification_curve, n) for n in ("HOLDS", "NOT", "CHANCE")), "k"),
    "perfusion": (*(colour for _, _, colour, _ in perfusion.LINES), "black"),
    "error": (map_quality.BIAS, map_quality.SCATTER, "black"),
    "cases": (style.PALE, COLOUR["HGG"]),
    "nuclei": (histology.OUTLINE, histology.NOT_COUNTED),
    "registration": (registration.EDGE, registration.BORDER),
    "quality": (style.MARK, style.GREEN, *quality.EXTRAPOLATION_COLOURS),
}
"""What one picture shows."""


def seen(colour: str, matrix: np.ndarray) -> np.ndarray:
    """CIELAB of a colour as a reader sees it."""
    rgb = np.array(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    found = np.clip(np.asarray(matrix) @ linear, 0, 1)
    return rgb2lab(np.where(found <= 0.0031308, 12.92 * found, 1.055 * found ** (1 / 2.4) - 0.055))


def distance(one: str, other: str) -> float:
    """Least CIEDE2000 between two colours, over all kinds of sight."""
    return min(float(deltaE_ciede2000(seen(one, m), seen(other, m))) for m in SIGHT.values())


APART = min(distance(one, other) for one, other in combinations(OKABE_ITO, 2))
"""As far as the nearest two of the palette that was made for all readers."""


def test_the_palette_that_sets_the_distance_is_as_far_apart_as_is_said_of_it():
    # A difference of 1 is just seen where two areas touch; dots and lines need several times that.
    assert 10 < APART < 12


@pytest.mark.parametrize("what", TOGETHER)
def test_what_appears_together_is_told_apart(what):
    colours = sorted(set(TOGETHER[what]))
    near = {
        (one, other): round(distance(one, other), 1)
        for one, other in combinations(colours, 2)
        if distance(one, other) < APART
    }
    assert near == {}


def test_a_pair_that_is_not_told_apart_would_be_found():
    # The first green of treatment-naive tumours, beside the grey of recurrent ones and the blue.
    assert distance("#00745B", COLOUR["Recurrent"]) < APART
    assert distance("#00745B", COLOUR["Whole cohort"]) < APART
    # Red and green, as everybody knows; a grey is the same to all.
    assert distance("#C00000", "#5A5A00") < APART
    for matrix in SIGHT.values():
        assert seen("#777777", matrix) == pytest.approx(seen("#777777", np.eye(3)), abs=0.1)


@pytest.mark.parametrize("background", ["white", DARK_PAGE])
def test_each_group_stands_out_from_the_page(background):
    colours = {*COLOUR.values(), *agreement.VERDICT_COLOUR.values(), style.PALE}
    assert {colour for colour in colours if distance(colour, background) < APART} == set()


HEX = re.compile(r"#[0-9A-Fa-f]{3,8}\b(?![-\w])")


def test_no_module_spells_a_colour_but_the_palette():
    palette = ROOT / "src" / "cpmlib" / "figures" / "style.py"
    files = [p for d in ("src", "workflow", "tools") for p in (ROOT / d).rglob("*.py")]
    files += (ROOT / "notebooks").glob("*.md")
    spelt = {
        str(file.relative_to(ROOT)): found
        for file in files
        if file != palette and (found := re.findall(r"[\"' ](#[0-9A-Fa-f]{6})\b", file.read_text()))
    }
    assert spelt == {}


def test_style_sheets_and_scripts_hold_colours_of_the_palette_and_all_of_them():
    files = [ROOT / "book" / "_static" / "cpm.css"]
    files += [p for e in ("css", "js", "html") for p in (ROOT / "src").rglob(f"*.{e}")]
    found = {colour.upper() for file in files for colour in HEX.findall(file.read_text("utf-8"))}
    assert found == set(style.ON_PAGES.values())
