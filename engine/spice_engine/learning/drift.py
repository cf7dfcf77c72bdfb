"""Whether what comes in is still like what a policy learned from: tests with a false-alarm bound.

Neighbouring rows are alike and days repeat, so tests for independent rows (Kolmogorov-Smirnov,
Page-Hinkley) take every night for news. Here time is cut into stretches, and the means of the new
ones are held against those of the old ones, as the batch means of simulations are judged (Schmeiser
1982, "Batch size effects in the analysis of simulation output"): Student's t, whose degrees of
freedom are those of the old stretches. Stretches that are alike one after the other, as where a day
is longer, count for fewer: by the autocorrelation of the old ones, taken one standard error higher
than it looks. A single new stretch is held against the spread of the old ones as it is.

Each field has two statistics, by ranks among the rows that were learned from, so that no outlier
rules them: the mean rank, which a shift moves (Mann and Whitney 1947), and the mean distance of the
ranks from the middle, which another spread moves (Ansari and Bradley 1960). The reward that the
policy gets has one: its mean, looked at for falling only.

Looks come as the new rows have grown by GROWTH, LOOKS times at most. Look k = 0, 1, … may raise a
false alarm with a probability that falls as 1 / (k + 3), shared by all statistics (Bonferroni), so
that all looks together stay under ALPHA as long as the policy serves (alpha spending, Lan and
DeMets 1983).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from spice_engine.learning.features import Matrix
from spice_engine.records import record

ALPHA = 0.05
"""A false alarm costs one training, whose policy is judged before it serves."""
GROWTH = 1.25
LOOKS = 40
_SHARES = math.fsum(1 / (look + 3) for look in range(LOOKS))
STRETCHES = 10
"""A stretch is so short that what was learned from has so many, at least."""
SHORTEST = 5
"""Rows of a stretch; shorter ones say nothing, and so does what has no STRETCHES of them."""
MOST_ROWS = 50_000
"""The newest rows that are looked at of what was learned from."""

Kind = Literal["level", "spread", "reward"]


@record
class Shift:
    """The most striking statistic of a look: `what` is a field, or the reward.

    `before` and `now` are the means in units of the field; `p` is the probability of such a
    distance by chance, times the number of statistics.
    """

    what: str
    kind: Kind
    before: float
    now: float
    p: float


@record
class Drift:
    """What a look has found: an alarm where the shift's `p` is at most `level`.

    It covers the first `rows` new rows, in stretches of `stretch` rows, held against `stretches`
    old ones. Without a shift there was too little to compare with.
    """

    look: int
    rows: int
    level: float
    stretch: int
    stretches: int
    shift: Shift | None

    @property
    def alarm(self) -> bool:
        """Whether something has changed."""
        return self.shift is not None and self.shift.p <= self.level

    def as_dict(self) -> dict[str, Any]:
        """Plain data for frames and the policy file."""
        shift = self.shift
        return {
            "look": self.look,
            "rows": self.rows,
            "level": self.level,
            "stretch": self.stretch,
            "stretches": self.stretches,
            "alarm": self.alarm,
            "what": shift.what if shift else "",
            "kind": shift.kind if shift else "",
            "before": shift.before if shift else None,
            "now": shift.now if shift else None,
            "p": shift.p if shift else None,
        }


@record
class Rewards:
    """Rewards of the policy at the steps it learned from [R], and at the new ones [N].

    They may be `flattered` by so much a step where it learned from them; half of that counts as its
    standard error.
    """

    before: Matrix
    now: Matrix
    flattered: float = 0.0


def look_at(fresh: int, first: int) -> tuple[int, int] | None:
    """The number of the look that is due with so many new rows, and how many it covers.

    The first look covers `first` rows, at least SHORTEST. A look comes out the same whenever it
    is taken. None where it is too early for the first.
    """
    first = max(first, SHORTEST)
    if fresh < first:
        return None
    look = 0
    while look + 1 < LOOKS and math.ceil(first * GROWTH ** (look + 1)) <= fresh:
        look += 1
    return look, math.ceil(first * GROWTH**look)


def level_of(look: int) -> float:
    """The probability of a false alarm at that look."""
    return ALPHA / _SHARES / (look + 3)


def compare(
    before: Matrix,
    now: Matrix,
    fields: Sequence[str],
    look: int,
    rewards: Rewards | None = None,
) -> Drift:
    """Hold new rows [N, F] against those learned from [R, F], both in the order of time."""
    before = before[-MOST_ROWS:]
    stretch = min(len(now), len(before) // STRETCHES)
    level, rows = level_of(look), len(now)
    if stretch < SHORTEST:
        return Drift(look, rows, level, stretch, 0, None)
    stretches = len(before) // stretch
    now = now[-(min(len(now) // stretch, stretches) * stretch) :]  # so that calm is forgotten
    found: list[Shift] = []
    for column, name in enumerate(fields):
        old, new = before[:, column], now[:, column]
        ranks, ranked = _ranks(old, old), _ranks(old, new)
        kinds: tuple[tuple[Kind, Matrix, Matrix], ...] = (
            ("level", ranks, ranked),
            ("spread", np.abs(ranks - 0.5), np.abs(ranked - 0.5)),
        )
        for kind, theirs, ours in kinds:
            t = _distance(_means(theirs, stretch), _means(ours, stretch), stretch)
            p = 2 * student_tail(abs(t), stretches - 1)
            found.append(Shift(name, kind, float(old.mean()), float(new.mean()), p))
    if rewards is not None and (fallen := _fallen(rewards)) is not None:
        found.append(fallen)
    if not found:
        return Drift(look, rows, level, stretch, stretches, None)
    striking = [one for one in found if one.p * len(found) <= level]
    # A shift far enough moves the ranks away from the middle, too: it is the plainer word.
    plain = [one for one in striking if one.kind != "spread"]
    worst = min(plain or striking or found, key=lambda one: one.p)
    p = min(1.0, worst.p * len(found))
    shift = Shift(worst.what, worst.kind, worst.before, worst.now, p)
    return Drift(look, rows, level, stretch, stretches, shift)


def _ranks(sorted_by: Matrix, values: Matrix) -> Matrix:
    """Where values lie among others, from 0 to 1; in the middle of equal ones."""
    order = np.sort(sorted_by)
    low, high = np.searchsorted(order, values, "left"), np.searchsorted(order, values, "right")
    return (low + high) / (2 * len(order))


def _means(values: Matrix, stretch: int) -> Matrix:
    """The means of stretches of so many rows, the newest whole ones."""
    return values[len(values) % stretch :].reshape(-1, stretch).mean(axis=1)


def _distance(old: Matrix, new: Matrix, stretch: int, error: float = 0.0) -> float:
    """Student's t of the means of new stretches [N] against those of old ones [B].

    No mean of ranks is taken for surer than to one row: where all old rows are equal, a single odd
    one is no alarm.
    """
    deviation = max(float(old.std(ddof=1)), 1.0 / stretch)
    alike = _alike(old)
    shares = _share(len(old), alike) + _share(len(new), alike)
    return float(new.mean() - old.mean()) / math.sqrt(deviation**2 * shares + error**2)


def _alike(means: Matrix) -> float:
    """How far neighbouring stretches go together, from 0 to almost 1; rather more than less."""
    centred = means - means.mean()
    size = float(centred @ centred)
    found = float(centred[1:] @ centred[:-1]) / size if size else 0.0
    return min(max(found + 1 / math.sqrt(len(means)), 0.0), 0.95)


def _share(count: int, alike: float) -> float:
    """The variance of the mean of so many stretches, as a share of that of one."""
    together = sum((1 - lag / count) * alike**lag for lag in range(1, count))
    return (1 + 2 * together) / count


def _fallen(rewards: Rewards) -> Shift | None:
    """How surely the reward has fallen; None of too few steps, and where it has always been one.

    What is beyond all rewards that were learned from counts as the furthest of those, so that a
    rare event is no alarm by its size.
    """
    before = rewards.before[-MOST_ROWS:]
    stretch = min(len(rewards.now), len(before) // STRETCHES)
    if stretch < SHORTEST:
        return None
    low, high = float(before.min()), float(before.max())
    size = high - low
    if not size or not math.isfinite(size):
        return None
    old = _means((before - low) / size, stretch)
    new = _means((np.clip(rewards.now, low, high) - low) / size, stretch)
    flattered = rewards.flattered / size
    t = _distance(old - flattered, new, stretch, flattered / 2)
    p = student_tail(-t, len(old) - 1)
    honest = float(before.mean()) - rewards.flattered
    return Shift("reward", "reward", honest, float(rewards.now.mean()), p)


def student_tail(t: float, freedom: int) -> float:
    """The probability that Student's t with so many degrees of freedom is over `t`.

    Abramowitz and Stegun (1964), 26.7.3 and 26.7.4: finite sums for whole degrees. A hundred and
    more are taken for normal.
    """
    if t < 0:
        return 1.0 - student_tail(-t, freedom)
    if freedom >= 100:
        return 0.5 * math.erfc(t / math.sqrt(2))
    angle = math.atan(t / math.sqrt(freedom))
    sine, square = math.sin(angle), math.cos(angle) ** 2
    if freedom % 2:
        term, total = math.cos(angle), 0.0
        for k in range(3, freedom + 1, 2):
            total += term
            term *= square * (k - 1) / k
        inside = 2 / math.pi * (angle + sine * total)
    else:
        term, total = 1.0, 0.0
        for k in range(2, freedom + 1, 2):
            total += term
            term *= square * (k - 1) / k
        inside = sine * total
    return max(0.0, (1.0 - inside) / 2)
