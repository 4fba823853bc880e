r"""The joint solve: all measurements moved together until every row holds.

Each iteration linearises the violated rows, and holds the satisfied ones, by damped Gauss-Newton
steps. Several dampings, step lengths and small random displacements (along directions that leave
the linearised rows alone) give some twenty candidates, which are evaluated together with true
ranks; the best is taken, even if it is worse than the present cohort, since a rank statistic moves
in steps and cannot always improve. First the middle of each interval is aimed at, then only its
inner part, with weights that grow on the rows that stay violated.

Vocabulary
----------
- *merit*: sum of squared weighted violations, each divided by the length of its row's gradient; 0
  when all rows hold with some room.
- *dead zone*: share of the interval's half-width inside which a row is left alone.
- *reach*: typical change of a variable, by which it is scaled; smaller near a bound, so that
  nothing piles up there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from cpmsurrogate.calibration.rounding import to_grid
from cpmsurrogate.calibration.system import System

REACH = np.array([[120.0], [150.0], [450.0]])
"""Scale of CPM, ADC and H&E."""

MARGIN = np.array([[150.0], [150.0], [300.0]])
"""Distance from a bound below which the reach shrinks."""

SHORTEST_REACH = 0.03

SIGNIFICANT = 9
"""Digits of the merit that decide between candidates; the rest is the processor's."""


@dataclass(frozen=True)
class Settings:
    """How the search goes about it.

    Parameters
    ----------
    iterations
        Iterations of one attempt at most.
    warm_iterations
        Iterations that aim at the intervals' middles.
    warm_merit
        The attempt is given up if the merit exceeds this after the warm iterations; it is then
        hardly ever successful later.
    checkpoints
        (iteration, rows): the attempt is given up if more rows are violated at that iteration.
    dead_zone
        See the module's vocabulary; 0 during the warm iterations.
    hold
        Weight of a satisfied row.
    largest_step
        Largest change of any variable in one iteration, in reaches: warm, then.
    weight_growth, weight_decay, weight_limit
        Of violated and satisfied rows.
    n_noise
        Random displacements tried in each iteration.
    """

    iterations: int = 400
    warm_iterations: int = 30
    warm_merit: float = 1.2
    checkpoints: tuple[tuple[int, int], ...] = ((130, 34), (220, 20), (300, 14))
    dead_zone: float = 0.6
    hold: float = 0.5
    largest_step: tuple[float, float] = (0.6, 0.35)
    weight_growth: float = 1.1
    weight_decay: float = 0.95
    weight_limit: float = 30.0
    n_noise: int = 10


@dataclass(frozen=True)
class Progress:
    """One iteration, from 0: which rows did not hold (R,) and the merit at its end."""

    iteration: int
    violated: np.ndarray
    merit: float


@dataclass
class Solution:
    """Best cohort of one attempt (V, N), on the grid, with the rows that do not hold (R,)."""

    cohort: np.ndarray
    violated: np.ndarray
    merit: float
    trace: list[Progress] = field(default_factory=list)


class Search:
    """One attempt to satisfy a system.

    Parameters
    ----------
    system
        The rows.
    free : (V, N) bool
        Which numbers may change.
    bounds
        Least and greatest value of each variable.
    rng, settings
        Source of the displacements, and how to go about it.

    Examples
    --------
    >>> from cpmsurrogate.calibration.rows import Frame, Quantity, Row
    >>> frame = Frame(np.repeat(np.arange(4), 2), {"whole": np.ones(8, dtype=bool)}, {})
    >>> system = System(frame, [Row(Quantity("rho", "whole", "cpm"), 0.45, 0.55, 0.05)])
    >>> rng = np.random.default_rng(0)
    >>> start = rng.normal([[1300], [1300], [2700]], 200, (3, 8))
    >>> bounds = ((500, 2200), (600, 2200), (400, 7000))
    >>> search = Search(system, np.ones((3, 8), dtype=bool), bounds, rng, Settings())
    >>> search.run(start).violated
    array([False])
    """

    def __init__(
        self,
        system: System,
        free: np.ndarray,
        bounds: tuple[tuple[float, float], ...],
        rng: np.random.Generator,
        settings: Settings,
    ) -> None:
        self.system, self.free, self.rng, self.settings = system, free, rng, settings
        self.low = np.array(bounds)[:, :1]
        self.high = np.array(bounds)[:, 1:]
        self.narrow = np.array([row.narrow for row in system.rows])
        self.weight = np.ones(len(system.rows))

    def violated(self, values: np.ndarray) -> np.ndarray:
        """Rows that do not hold, (..., R) bool."""
        return ~((values >= self.system.low) & (values <= self.system.high))

    def residual(self, values: np.ndarray, dead_zone: float) -> np.ndarray:
        """Distance of each value from the inner part of its interval, in units, (..., R)."""
        unit = self.system.unit
        inset = np.where(self.narrow, (1 - dead_zone) * unit, 0.3 * unit)
        low, high = self.system.low + inset, self.system.high - inset
        below, above = np.minimum(values - low, 0.0), np.maximum(values - high, 0.0)
        return (below + above) / unit

    def _linearise(self, cohort: np.ndarray, values: np.ndarray, dead_zone: float) -> None:
        """Prepare the steps from a cohort: scaled, weighted gradients of the rows in play."""
        residual = self.residual(values, dead_zone)
        active = self.narrow | (residual != 0)
        gradient = self.system.jacobian(cohort, active)[active]
        gradient = gradient / self.system.unit[active, None, None]
        room = np.minimum(cohort - self.low, self.high - cohort) / MARGIN
        self.reach = REACH * np.clip(room, SHORTEST_REACH, 1) * self.free
        rows = (gradient * self.reach).reshape(len(gradient), -1)
        length = np.sqrt((rows**2).sum(1)) + 1e-9
        self.length = np.ones(len(residual))
        self.length[active] = length
        held = np.where(residual[active] == 0, self.settings.hold, 1.0)
        weight = self.weight[active] * held / length
        self.rows = rows * weight[:, None]
        self.wanted = -residual[active] * weight
        self.gram = self.rows @ self.rows.T

    def _step(self, damping: float, largest: float) -> np.ndarray:
        damped = self.gram + damping * np.eye(len(self.gram))
        step = self.rows.T @ np.linalg.solve(damped, self.wanted)
        return step * min(1.0, largest / max(float(np.abs(step).max()), 1e-12))

    def _displacements(self, count: int) -> np.ndarray:
        """Random moves of a fifth of the variables that leave the linearised rows alone."""
        shape = (count, self.rows.shape[1])
        noise = self.rng.normal(size=shape) * (self.rng.random(shape) < 0.2)
        gram = self.gram + 1e-6 * np.eye(len(self.gram))
        noise -= (self.rows.T @ np.linalg.solve(gram, self.rows @ noise.T)).T
        return noise

    def _moved(self, cohort: np.ndarray, step: np.ndarray) -> np.ndarray:
        """Cohort after a step; a bound is approached by half the distance, never crossed."""
        new = cohort + step.reshape(cohort.shape) * self.reach
        new = np.where(new > self.high, cohort + 0.5 * (self.high - cohort), new)
        new = np.where(new < self.low, cohort + 0.5 * (self.low - cohort), new)
        return to_grid(np.where(self.free, new, cohort), self.free)

    def _candidates(
        self, cohort: np.ndarray, damping: float, warm: bool
    ) -> tuple[np.ndarray, list[float]]:
        largest = self.settings.largest_step[0 if warm else 1]
        cohorts, dampings = [], []
        for factor in (0.125, 1.0, 8.0):
            step = self._step(damping * factor, largest)
            for share in (1.0, 0.4):
                cohorts.append(self._moved(cohort, share * step))
                dampings.append(damping * factor)
        if not warm and self.settings.n_noise:
            step = self._step(damping, largest)
            noise = self._displacements(self.settings.n_noise)
            sizes = np.geomspace(0.003, 0.2, self.settings.n_noise)
            for i, (size, move) in enumerate(zip(sizes, noise, strict=True)):
                cohorts.append(self._moved(cohort, (1.0, 0.4)[i % 2] * step + size * move))
                dampings.append(damping)
        return np.stack(cohorts), dampings

    def run(
        self,
        start: np.ndarray,
        report: Callable[[Progress], None] | None = None,
        *,
        thorough: bool = False,
    ) -> Solution:
        """Search from a start.

        Numbers of the start (V, N) that are not free must have their final values; ``report`` is
        called after every iteration; a ``thorough`` search never gives up before the last one. The
        solution has the fewest violated rows, the merit deciding between equals.
        """
        settings, system = self.settings, self.system
        inside = np.clip(start, self.low + 5, self.high - 5)
        cohort = to_grid(np.where(self.free, inside, start), self.free)
        system.forget()
        values, damping = system.values(cohort[None])[0], 0.1
        best: Solution | None = None
        trace: list[Progress] = []
        for iteration in range(settings.iterations):
            warm = iteration < settings.warm_iterations
            dead_zone = 0.0 if warm else settings.dead_zone
            cohort, values, damping, merit = self._advance(cohort, values, damping, dead_zone, warm)
            violated = self.violated(values)
            if not violated.any():
                system.follow(cohort, exact=True)
                values = system.values(cohort[None])[0]
                violated = self.violated(values)
            trace.append(Progress(iteration, violated, merit))
            if report is not None:
                report(trace[-1])
            key = (int(violated.sum()), merit)
            if best is None or key < (int(best.violated.sum()), best.merit):
                best = Solution(cohort, violated, merit)
            if not violated.any() or (not thorough and self._hopeless(iteration, key)):
                break
            if not warm:
                grown = np.minimum(self.weight * settings.weight_growth, settings.weight_limit)
                shrunk = np.maximum(self.weight * settings.weight_decay, 1.0)
                self.weight = np.where(violated, grown, shrunk)
        assert best is not None
        best.trace = trace
        return best

    def _advance(
        self, cohort: np.ndarray, values: np.ndarray, damping: float, dead_zone: float, warm: bool
    ) -> tuple[np.ndarray, np.ndarray, float, float]:
        """Take the best of the candidates: the next cohort, its values, damping and merit."""
        self.system.follow(cohort)
        self._linearise(cohort, values, dead_zone)
        cohorts, dampings = self._candidates(cohort, damping, warm)
        tried = self.system.values(cohorts)
        merits = self._merit(np.concatenate([tried, values[None]]), dead_zone)
        chosen = int(np.argmin(merits[:-1]))
        damping = float(np.clip(dampings[chosen], 1e-5, 1.0))
        if merits[chosen] >= merits[-1]:
            damping = min(2 * damping, 1.0)
        return cohorts[chosen], tried[chosen], damping, float(merits[chosen])

    def _hopeless(self, iteration: int, key: tuple[int, float]) -> bool:
        """Whether an attempt that stands so at this iteration is better given up."""
        count, merit = key
        if iteration + 1 == self.settings.warm_iterations:
            return merit > self.settings.warm_merit
        return any(iteration == at and count > most for at, most in self.settings.checkpoints)

    def _merit(self, values: np.ndarray, dead_zone: float) -> np.ndarray:
        """Merit of each candidate, to the digits that every processor agrees on."""
        terms = self.residual(values, dead_zone) * self.weight / self.length
        merit = (terms**2).sum(-1)
        scale = 10.0 ** (SIGNIFICANT - 1 - np.floor(np.log10(np.maximum(merit, 1e-300))))
        return np.round(merit * scale) / scale
