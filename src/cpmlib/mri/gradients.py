"""The b-values and gradients of a diffusion series: read, checked, and what can be made of them.

Vocabulary
----------
- *b-matrix*: b g g^T for a gradient g. A volume with a b-value and a gradient of zeros is taken as
  an average over directions, as scanners write *trace images*; its b-matrix is b/3 on the
  diagonal.
- *shell*: the volumes of a diffusion series with one b-value, which scanners round to their steps
  (1485 to 1510 is one).
- *lowest shell*: the one to which the others are compared; b = 0 if there is one. The code calls it
  ``reference``.
- *trace*: sum of the diffusivities along three axes at right angles, three times the ADC.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from cpmlib.study.errors import fault
from cpmlib.study.text import read_text

Method = Literal["auto", "WLS", "OLS", "trace-weighted"]

MIN_DIRECTIONS = 6
"""A tensor has six unknowns."""
SAME_B = 50.0
"""b-values (s/mm2) of the lowest shell lie within this: scanners write 5 or so for their b0."""
SAME_SHELL = 1.1
"""The highest b-value of a shell over its lowest: rounding and the imaging gradients give 3 %."""
MAX_REFERENCE = 500.0
"""Highest b-value (s/mm2) from which the signal at b = 0 is extrapolated."""
MIN_SPAN = 100.0
"""Least difference of b-values (s/mm2): below it, blood flow outweighs diffusion."""
MAX_B = 1600.0
"""Shells with a higher median (s/mm2) are left out: there ln S is not linear in b (kurtosis).
Between the shells in use, of 1500 and 2000."""
SAME_DIRECTION = np.cos(np.radians(1.0))
"""Gradients less than 1 degree apart, or from each other's opposite, are one direction."""
NORM_TOLERANCE = 0.05
"""Gradients whose lengths differ by less are rounded; others may hide a b-value."""
UNEVEN = 0.1
"""How far the mean b-matrix of trace 1 may lie from one third of the identity, for a mean over
directions to be a trace."""
UNEVEN_NOTED = 0.01
"""From here on it is noted; rounded directions lie below."""
MAX_TEXT = 1_000_000
"""Bytes; a file of gradients has some thousands."""
EXPORT = "export the b-values and gradients again with the series"
GIVE_MAP = "give the ADC map that the scanner made (its name ends in _ADC.nii.gz) beside the series"


@dataclass(frozen=True)
class Scheme:
    """Which volumes of a series give the ADC, and how.

    Of all volumes, ``used`` are (V,) bool; of these, ``reference`` (the lowest shell) is (U,) bool,
    the b-matrices are (U, 3, 3), s/mm2, and the weights (U,) those in a mean over directions: each
    direction of a shell counts once, and they sum to 1 over the lowest shell and over the others.
    """

    used: np.ndarray
    reference: np.ndarray
    b_matrices: np.ndarray
    weights: np.ndarray
    method: Method
    notes: tuple[str, ...]


def read_gradients(bval: Path, bvec: Path) -> tuple[np.ndarray, np.ndarray]:
    r"""Read the b-values (V,), s/mm2, and gradients (V, 3) of a series from the texts beside it.

    Of the gradients there are three rows of V numbers (FSL and BIDS), or V rows of three. Three of
    three are taken as the former.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     bval, bvec = Path(folder, "a.bval"), Path(folder, "a.bvec")
    ...     _ = bval.write_text("0 1000"), bvec.write_text("0 1\n0 0\n0 0")
    ...     read_gradients(bval, bvec)[1].tolist()
    [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]]
    """
    values, rows = _rows_of_numbers(bval), _rows_of_numbers(bvec)
    if len(values) > 1 and max(map(len, values)) > 1:
        raise fault(bval.name, f"{len(values)} rows of numbers", "one row of b-values", EXPORT)
    if len(lengths := {len(row) for row in rows}) > 1:
        found = f"rows of {sorted(lengths)} numbers"
        raise fault(bvec.name, found, "rows of equal length", EXPORT)
    bvals, bvecs = np.concatenate(values), np.array(rows)
    _check_b_values(bvals, bval.name)
    return check_gradients(
        bvals, bvecs.T if bvecs.shape == (3, 3) else bvecs, len(bvals), bvec.name
    )


def _rows_of_numbers(path: Path) -> list[list[float]]:
    lines = read_text(path, MAX_TEXT, EXPORT).splitlines()
    try:
        rows = [[float(word) for word in line.split()] for line in lines if line.strip()]
    except ValueError as error:
        raise fault(path.name, str(error), "numbers separated by spaces", EXPORT) from None
    if not rows:
        raise fault(path.name, "an empty file", "numbers separated by spaces", EXPORT)
    return rows


def _check_b_values(bvals: np.ndarray, name: str) -> None:
    wrong = np.flatnonzero(~(np.isfinite(bvals) & (bvals >= 0)))
    if len(wrong):
        found = f"a b-value of {bvals[wrong[0]]:g} for volume {wrong[0] + 1}"
        raise fault(name, found, "finite b-values from 0, s/mm2", EXPORT)


def check_gradients(
    bvals: ArrayLike, bvecs: ArrayLike, count: int, name: str
) -> tuple[np.ndarray, np.ndarray]:
    """Return b-values (V,) and gradients (V, 3) that fit `count` volumes; refuse others."""
    b, g = np.array(bvals, dtype=float), np.array(bvecs, dtype=float)
    if b.shape != (count,):
        found = f"{count} volumes and {b.size} b-values"
        raise fault(name, found, "one b-value for each volume", EXPORT)
    _check_b_values(b, name)
    if g.shape == (3, count) and count != 3:
        g = g.T
    if g.shape != (count, 3):
        found = f"gradients of shape {g.shape} for {count} b-values"
        raise fault(name, found, f"3 x {count} or {count} x 3 numbers", EXPORT)
    return b, g


def choose_volumes(
    bvals: ArrayLike, bvecs: ArrayLike, method: Method = "auto", name: str = "dwi"
) -> Scheme:
    """Say which volumes of a series, called `name` in messages, give the ADC, and how.

    Parameters
    ----------
    bvals : (V,)
        s/mm2.
    bvecs : (V, 3) or (3, V)
        Gradients in any axes, of one length; NaN is allowed up to b = 50. Zeros at higher b mark
        averages over directions, which are used where the directions do not suffice.
    method
        As in `cpmlib.mri.diffusion`; ``"auto"`` is ``"WLS"`` where the directions determine a
        tensor, else ``"trace-weighted"``.

    Examples
    --------
    >>> scheme = choose_volumes([0, 1000, 1000, 1000], np.vstack([np.zeros(3), np.eye(3)]))
    >>> print(scheme.notes[0])
    ADC: a trace, no tensor, from the mean over directions of 1 volume at b = 0, 3 at b = 1000
    """
    b, g = check_gradients(bvals, bvecs, np.size(bvals), name)
    shells = shells_of(b)
    reference = shells[0]
    low = np.any([shell & (np.median(b[shell]) <= MAX_B) for shell in shells], axis=0)
    _check_range(b, reference, low & ~reference, name)
    g, length = _unit_vectors(b, g, low & ~reference, name)
    matrices = _b_matrices(b, g)
    chosen, how = _choose_method(g, matrices, shells, low & ~reference, method, name)
    used = reference | chosen
    notes = [_what_is_done(b, g, shells, chosen, how)]
    if b[reference].min() > 0:
        notes.append(f"ADC: no volume has b = 0; {_range(b[reference])} is used as it is")
    if abs(length - 1) > NORM_TOLERANCE:
        notes.append(f"ADC: gradients of length {length:.3g} are taken as directions")
    for why, those in (
        (f"above {MAX_B:g}, where the signal is no exponential of b", ~low),
        ("too few or uneven directions beside averages over them", low & g.any(axis=1)),
        ("averages over directions that are there themselves", low & ~g.any(axis=1)),
    ):
        if (those & ~used).any():
            notes.append(f"ADC: {_listed(b, shells, those & ~used)}: left out, {why}")
    weights = _weights(g, shells, chosen)[used]
    uneven = _mean_weighting(matrices[used], weights, reference[used])[1]
    if how == "trace-weighted" and uneven > UNEVEN_NOTED:
        off = f"{300 * uneven:.0f} %"
        notes.append(f"ADC: uneven directions; along fibres the trace may be off by up to {off}")
    return Scheme(used, reference[used], matrices[used], weights, how, tuple(notes))


def shells_of(b: np.ndarray) -> list[np.ndarray]:
    """Return the volumes of each shell, (V,) bool, lowest b-value first."""
    shells, left = [], np.ones(len(b), dtype=bool)
    while left.any():
        lowest = b[left].min()
        shells.append(left & (b <= max(lowest + SAME_B, SAME_SHELL * lowest)))
        left &= ~shells[-1]
    return shells


def _check_range(b: np.ndarray, reference: np.ndarray, weighted: np.ndarray, name: str) -> None:
    found = f"b-values from {b.min():g} to {b.max():g} s/mm2"
    if b.min() > MAX_REFERENCE:
        expected = f"a volume with b up to {MAX_REFERENCE:g}, best 0"
        raise fault(name, found, expected, f"add it to the series, or {GIVE_MAP}")
    if not weighted.any() or b[weighted].max() - b[reference].mean() < MIN_SPAN:
        expected = f"volumes at b = 0 and at another b up to {MAX_B:g}, as 1000"
        raise fault(name, found, expected, f"export all volumes of the series, or {GIVE_MAP}")


def _unit_vectors(
    b: np.ndarray, g: np.ndarray, weighted: np.ndarray, name: str
) -> tuple[np.ndarray, float]:
    """Return gradients of length 1, or of zeros where they mean nothing, and their length."""
    length = np.linalg.norm(g, axis=1)
    needed = weighted | ((b > SAME_B) & (b <= MAX_REFERENCE))
    unknown = np.flatnonzero(needed & ~np.isfinite(length))
    if len(unknown):
        found = f"a gradient of length {length[unknown[0]]:g} for volume {unknown[0] + 1}"
        raise fault(name, found, "a direction for each diffusion-weighted volume", EXPORT)
    known = np.isfinite(length) & (length > 0)
    directed = weighted & known
    median = float(np.median(length[directed])) if directed.any() else 1.0
    wrong = np.flatnonzero(directed & ~(np.abs(length / median - 1) <= NORM_TOLERANCE))
    if len(wrong):
        found = f"gradients of length {length[wrong[0]]:.3g} (volume {wrong[0] + 1}) "
        found += f"and {median:.3g}, which may stand for b-values"
        raise fault(name, found, "unit vectors, and the b-values in the other file", EXPORT)
    return np.where(known[:, None], g, 0.0) / np.where(known, length, 1.0)[:, None], median


def _choose_method(
    g: np.ndarray,
    matrices: np.ndarray,
    shells: list[np.ndarray],
    weighted: np.ndarray,
    method: Method,
    name: str,
) -> tuple[np.ndarray, Method]:
    """Return the weighted volumes that give an ADC by a method, and the method."""
    directed = weighted & g.any(axis=1)
    why = None
    if method != "trace-weighted":
        why = _no_tensor(matrices[directed | shells[0]], g[directed])
        if why is None:
            return directed, "OLS" if method == "OLS" else "WLS"
    if method in ("auto", "trace-weighted"):
        for chosen in (directed, weighted & ~directed):
            reason = _no_trace(matrices, _weights(g, shells, chosen), shells[0])
            if reason is None:
                return chosen, "trace-weighted"
            why = why or reason
    found = f"{len(_directions(g[directed]))} directions, {why}"
    expected = f"{MIN_DIRECTIONS} or more spread over the sphere for a tensor; for a trace, "
    expected += "three at right angles, or an average over directions with a gradient of zeros"
    raise fault(name, found, expected, GIVE_MAP)


def _no_tensor(matrices: np.ndarray, g: np.ndarray) -> str | None:
    if len(_directions(g)) < MIN_DIRECTIONS:
        return "too few for a tensor"
    entries = matrices[:, *np.triu_indices(3)] / matrices.max()
    if np.linalg.matrix_rank(np.column_stack([entries, np.ones(len(entries))]), tol=1e-3) < 7:
        return "which leave the tensor undetermined, such as all in one plane"
    return None


def _no_trace(matrices: np.ndarray, weights: np.ndarray, reference: np.ndarray) -> str | None:
    span, uneven = _mean_weighting(matrices, weights, reference)
    if span < MIN_SPAN / 2:
        return "too few for a trace"
    if uneven > UNEVEN:
        return "which crowd along some axes, so that their mean is no trace"
    return None


def _mean_weighting(
    matrices: np.ndarray, weights: np.ndarray, reference: np.ndarray
) -> tuple[float, float]:
    """Return the trace of the mean b-matrix, s/mm2, and how uneven it is."""
    signed = np.where(reference, -weights, weights)
    mean = np.einsum("v,vij->ij", signed, matrices)
    span = float(np.trace(mean))
    if span <= 0:
        return span, 0.0
    return span, float(np.abs(np.linalg.eigvalsh(mean / span) - 1 / 3).max())


def _b_matrices(b: np.ndarray, g: np.ndarray) -> np.ndarray:
    plain = ~g.any(axis=1)
    products = np.einsum("vi,vj->vij", g, g)
    products[plain] = np.eye(3) / 3
    return np.asarray(b[:, None, None] * products)


def _weights(g: np.ndarray, shells: list[np.ndarray], chosen: np.ndarray) -> np.ndarray:
    """Weigh volumes so that each direction of a shell counts once; 0 for those not chosen."""
    weights = np.zeros(len(g))
    for shell in shells[1:]:
        here = shell & chosen
        same = np.abs(g[here] @ g[here].T) >= SAME_DIRECTION
        same |= ~g[here].any(axis=1)[:, None] & ~g[here].any(axis=1)
        weights[here] = 1 / same.sum(axis=1)
    weights /= weights.sum() or 1.0
    weights[shells[0]] = 1 / shells[0].sum()
    return weights


def _directions(g: np.ndarray) -> np.ndarray:
    """Return the gradients that differ from all before them, (D, 3)."""
    kept: list[np.ndarray] = []
    for vector in g:
        if all(abs(vector @ other) < SAME_DIRECTION for other in kept):
            kept.append(vector)
    return np.array(kept).reshape(-1, 3)


def _what_is_done(
    b: np.ndarray, g: np.ndarray, shells: list[np.ndarray], chosen: np.ndarray, method: Method
) -> str:
    if method != "trace-weighted":
        what = "mean diffusivity of the tensor fitted to"
    elif g[chosen].any():
        what = "a trace, no tensor, from the mean over directions of"
    else:
        what = "a trace, no tensor; gradients of zeros are taken for averages over directions:"
    return f"ADC: {what} {_listed(b, shells, chosen | shells[0])}"


def _listed(b: np.ndarray, shells: list[np.ndarray], which: np.ndarray) -> str:
    """Say how many volumes there are at each b-value."""
    parts = [b[shell & which] for shell in shells if (shell & which).any()]
    counts = [f"{len(part)} at {_range(part)}" for part in parts]
    counts[0] = counts[0].replace(" at", " volume at" if len(parts[0]) == 1 else " volumes at")
    return ", ".join(counts)


def _range(b: np.ndarray) -> str:
    low, high = b.min(), b.max()
    return f"b = {low:g}" if low == high else f"b = {low:g} to {high:g}"
