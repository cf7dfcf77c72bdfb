"""`auto`: candidates of all algorithms one after another, of which the folds choose the best.

The order brings something good at once; the first is always the best constant action. The last of
the episodes are for what a search finds (`searched.py`): settings of all families drawn by chance,
of which successive halving leaves a few.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from spice_engine.learning.algorithms.fqi import FqiFit
from spice_engine.learning.algorithms.linear_learner import LinearFit
from spice_engine.learning.algorithms.searched import (
    Bounds,
    SearchedSetting,
    details,
    draw,
    exams_of,
    search,
)
from spice_engine.learning.algorithms.tabular import Size, TabularFit
from spice_engine.learning.features import Matrix
from spice_engine.learning.hyperparameters import Auto, Fqi, Tabular
from spice_engine.learning.model import Model
from spice_engine.learning.task import Candidate, Check, Fit
from spice_engine.records import record

STRENGTHS = (1.0, 1e-2, 1e-4)
TABLES: tuple[Size, ...] = ((1, 16), (2, 8), (3, 8))
SHALLOW = 5
"""Depth of the first tree, which is there at once."""
FEW_TREES = 8
SEARCHED = 3
"""Candidates that the search leaves, at most."""
FIRST = 6
"""Candidates that come before it at least."""
LEAST = 200
"""Steps, below which a search would find nothing but chance."""


@record
class _Plan:
    """One candidate: whose it is, and its index among that algorithm's own, or its setting."""

    algorithm: str
    index: int
    candidate: Candidate
    setting: SearchedSetting | None = None


class AutoLearner:
    """The portfolio; `episodes` cuts it short."""

    ends_on_equal_scores = False  # candidates are not steps of one path
    cautious = True

    def __init__(self, settings: Auto, episodes: int, seed: int) -> None:
        self.settings = settings
        self._seed = seed
        self._fqi = Fqi(max_depth=settings.max_depth, min_leaf=settings.min_leaf)
        deep = settings.max_depth
        self._sizes = [("depth", 0), ("depth", min(SHALLOW, deep)), ("depth", min(3, deep))]
        self._sizes += [("depth", deep), ("trees", FEW_TREES), ("trees", settings.trees)]
        order = (
            ("fqi", 0), ("fqi", 1), ("linear", 1), ("linear", 2), ("fqi", 4), ("tabular", 1),
            ("fqi", 2), ("fqi", 3), ("linear", 0), ("fqi", 5), ("tabular", 0), ("tabular", 2),
        )  # fmt: skip
        self._searched = min(SEARCHED, max(episodes - FIRST, 0)) if settings.search else 0
        self._plans = [self._plan(algorithm, index) for algorithm, index in order]
        fixed = max(episodes - self._searched, 0)
        self._others = self._plans[fixed:episodes]  # where there is too little to search on
        del self._plans[fixed:]
        self.candidates: Sequence[Candidate] = [plan.candidate for plan in self._plans]

    def _plan(self, algorithm: str, index: int) -> _Plan:
        match algorithm:
            case "linear":
                strength = STRENGTHS[index]
                name, detail = f"linear, strength {strength:g}", {"strength": strength}
            case "tabular":
                features, bins = TABLES[index]
                name = f"table of {features} x {bins} bins"
                detail = {"features": features, "bins": bins}
            case _:
                what, size = self._sizes[index]
                name = f"tree of depth {size}" if what == "depth" else f"{size} random trees"
                name = name if size else "best constant"
                detail = {what: size}
        shown = "constant" if name == "best constant" else algorithm
        return _Plan(algorithm, index, Candidate(name, {"algorithm": shown, **detail}))

    def search(self, raw: Matrix, rewards: Matrix, span: int, check: Check) -> Iterator[Candidate]:
        """What is left of settings that are tried on these steps, the best first."""
        settings, known = self.settings, len(self.candidates)
        if not self._searched:
            return
        if len(raw) < LEAST:
            self._plans[known:] = self._others
            yield from (plan.candidate for plan in self._others)
            return
        bounds = Bounds(settings.trees, settings.max_depth)
        drawn = draw(settings.search, raw.shape[1], bounds, self._seed)
        exams = exams_of(raw, rewards, span)
        del self._plans[known:]
        for setting in search(drawn, exams, self._searched, self._seed, check):
            candidate = Candidate(setting.name, details(setting))
            self._plans.append(_Plan(setting.algorithm, -1, candidate, setting))
            yield candidate

    def fit(self, raw: Matrix, rewards: Matrix, check: Check) -> AutoFit:
        """All algorithms on some steps; each begins when a candidate of it is asked for."""
        return AutoFit(raw, rewards, self._plans, self._fqi, self._seed, self._sizes, check)


class AutoFit:
    """The fits of the algorithms, made when they are needed."""

    def __init__(
        self,
        raw: Matrix,
        rewards: Matrix,
        plans: list[_Plan],
        fqi: Fqi,
        seed: int,
        sizes: list[tuple[str, int]],
        check: Check,
    ) -> None:
        self._raw, self._rewards, self._check = raw, rewards, check
        self._plans = plans
        self._seed = seed
        self._fits: dict[str, Fit] = {"fqi": FqiFit(raw, rewards, fqi, seed, sizes, check, SHALLOW)}
        self._searched: dict[SearchedSetting, Model] = {}

    def model(self, index: int) -> Model:
        """The candidate's model."""
        plan = self._plans[index]
        if plan.setting is not None:
            return self._of(plan.setting)
        return self._fit(plan.algorithm).model(plan.index)

    def values(self, index: int) -> Matrix:
        """Its values on the fit's own steps."""
        plan = self._plans[index]
        if plan.setting is not None:
            return self._of(plan.setting).values(self._raw)
        return self._fit(plan.algorithm).values(plan.index)

    def _of(self, setting: SearchedSetting) -> Model:
        if setting not in self._searched:
            model = setting.fit(self._raw, self._rewards, self._seed, 1.0, self._check)
            self._searched[setting] = model
        return self._searched[setting]

    def _fit(self, algorithm: str) -> Fit:
        if algorithm not in self._fits:
            if algorithm == "linear":
                self._fits[algorithm] = LinearFit(self._raw, self._rewards, STRENGTHS)
            else:
                self._fits[algorithm] = TabularFit(
                    self._raw, self._rewards, Tabular(), list(TABLES), self._check
                )
        return self._fits[algorithm]
