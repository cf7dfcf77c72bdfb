"""Tabular Q-learning in a simulated pod by a population, each member in an episode of its own.

Q-learning (Watkins 1989) on the cells that binned features make up; what a state's laws forbid is
neither tried nor looked forward to. A member's local state is carried from step to step inside
one compiled loop (`learn` of `simulated_kernel_drivers`), so it learns on the very states that it
comes to. Members differ in their chance and in how much they explore; what they learned is
averaged by how often each learned it, as one member's table is mostly noise.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from spice_engine.errors import InvalidRequest
from spice_engine.learning import simulated_on_cpu
from spice_engine.learning.algorithms.table import Table
from spice_engine.learning.features import Matrix
from spice_engine.learning.simulated_fit import Fitted, Lesson
from spice_engine.learning.simulated_members import Course, Population
from spice_engine.learning.simulated_tables import fit_tables, quantile_edges, telling
from spice_engine.learning.simulated_values import best_ahead, shape_targets

if TYPE_CHECKING:
    from spice_engine.learning.kernels.on_cuda import Gpu
    from spice_engine.learning.simulated_kernel import Kernel

STEPS = ((8, False), (8, True), (4, True), (16, True))
"""Bins of each feature, and whether what comes counts; the last one goes on learning."""

MEMBERS = 32
MOST_CELLS = 4_096
"""Cells of one member's table: with all members some megabytes, most of which stay in a cache."""
BUDGET = 8_000_000
"""Steps that so many members take together in one episode of the training: some tenths of a
second on two cores. Each of more members, or fewer, goes through as many episodes."""
_PASSES = (2, 60)
MOST_BYTES = 256 * 2**20
"""Of all members' tables: more members have coarser ones."""
MOST_KEPT = 32 * 2**20
"""Bytes of them that a checkpoint holds; larger populations begin anew after a crash."""
WORTH_MEMBERS, WORTH_UPDATES = 1_024, 10**9
"""A GPU pays from so many: a thread takes some microseconds for a step, and to compile the pod for
it some seconds. Estimates: a core does some 25 M steps/s."""


def fit_population(lesson: Lesson, before: Fitted | None = None) -> Iterator[Fitted]:
    """A table by Q-learning; each one's features explain what the last one says of the future.

    `before` is the one before, where a training goes on. Where the pod can't be compiled this is
    `fit_tables`.
    """
    kernel = lesson.compiled()
    if kernel is None:
        yield from fit_tables(lesson)
        return
    steps = lesson.steps
    passes = min(max(BUDGET // (MEMBERS * len(steps)), _PASSES[0]), _PASSES[1])
    members, step = lesson.lanes or MEMBERS, 0
    last: tuple[int, bool] | None = None
    population: Population | None = None
    model: Table | None = None
    if before is not None and before.state is not None:
        assert isinstance(before.model, Table)
        model, step = before.model, int(before.state["step"]) + 1
        arrays = before.state["arrays"]
        population = Population(arrays["table"].copy(), arrays["words"].copy())
        last = STEPS[min(step - 1, len(STEPS) - 1)]
    while True:
        bins, ahead = shape = STEPS[min(step, len(STEPS) - 1)]
        gamma = lesson.gamma if ahead else 0.0
        if model is None or shape != last:
            model = _partition(lesson, min(bins, lesson.table_bins), gamma, model)
            population = None
        course = _course(lesson, model, gamma)
        if population is None:
            cells = math.prod(len(one) + 1 for one in model.edges)
            population = Population.begin(members, cells, kernel.actions, lesson.seed + step)
        if not _learn(lesson, kernel, population, course, passes):
            yield from fit_tables(lesson)
            return
        model = Table(model.columns, model.edges, _means(lesson, population, passes, course.unit))
        detail = {"gamma": gamma, "cells": len(model.mean), "members": members, "passes": passes}
        yield Fitted(model, gamma, detail | _told(lesson), _kept(population, step))
        step, last = step + 1, shape


def _learn(
    lesson: Lesson, kernel: Kernel, population: Population, course: Course, passes: int
) -> bool:
    """Has the members learn where the lesson may; whether it could be done."""

    def on_cpu() -> bool:
        return simulated_on_cpu.learn(kernel, population, course, passes, lesson.check)

    def on_gpu(gpu: Gpu) -> bool:
        from spice_engine.learning.simulated_on_cuda import learn

        return learn(gpu, kernel, population, course, passes, lesson.check)

    if not lesson.lanes:
        return on_cpu()
    updates = population.members * passes * course.steps
    pays = population.members >= WORTH_MEMBERS and updates >= WORTH_UPDATES
    return lesson.devices.run(on_gpu, on_cpu, pays=pays)


def _told(lesson: Lesson) -> dict[str, Any]:
    """The device that learned, and why it was not another, of who sets how many learn."""
    devices = lesson.devices
    notes = {"notes": list(devices.notes)} if devices.notes else {}
    return {"device": devices.name, **notes} if lesson.lanes else {}


def _kept(population: Population, step: int) -> dict[str, Any] | None:
    """What the population goes on from after a crash, unless it is too much to be written often."""
    if population.table.nbytes > MOST_KEPT:
        return None
    return {
        "step": step,
        "arrays": {"table": population.table.copy(), "words": population.words.copy()},
    }


def _partition(lesson: Lesson, bins: int, gamma: float, before: Table | None) -> Table:
    """A table without values: the features that tell most, then all local fields.

    Raises InvalidRequest where even a coarse one is too large for all members that are asked for.
    """
    batch, view = lesson.batch, lesson.view
    targets = batch.rewards
    if gamma and before is not None:
        following = [
            before.values(view.at(batch.rows + 1, batch.following[:, action]))
            for action in range(targets.shape[1])
        ]
        targets = targets + gamma * best_ahead(np.stack(following, 1), batch.later)
    raw = view.at(batch.rows, batch.local)
    local: list[int] = view.local.tolist()
    told = telling(raw, shape_targets(targets, batch.lawful), bins, lesson.table_features)
    columns = [*(one for one in told if one not in local), *local]
    row = 2 * targets.shape[1] * np.dtype(np.float32).itemsize * (lesson.lanes or MEMBERS)
    while True:
        edges = tuple(quantile_edges(raw[:, column], bins) for column in columns)
        cells = math.prod(len(one) + 1 for one in edges)
        if cells <= min(MOST_CELLS, MOST_BYTES // row) or bins <= 2:
            break
        bins -= 1
    if lesson.lanes and cells * row > MOST_BYTES:
        raise InvalidRequest(
            f"{lesson.lanes} lanes with {cells} cells and {targets.shape[1]} actions take "
            f"{cells * row / 2**20:.0f} MiB; {MOST_BYTES / 2**20:.0f} MiB are the most.",
            hint="Set fewer lanes or features.",
        )
    return Table(tuple(columns), edges, np.empty((0, 0)))


def _course(lesson: Lesson, table: Table, gamma: float) -> Course:
    """What the members go through, in the cells of a table whose last columns are local fields."""
    batch, view, steps = lesson.batch, lesson.view, lesson.steps
    count = len(view.local)
    outer = len(table.columns) - count
    sizes = [len(one) + 1 for one in table.edges[outer:]]
    strides = np.array([math.prod(sizes[index + 1 :]) for index in range(count)], dtype=np.int64)
    first = int(steps[0])
    rows = view.raw[first - view.first : first - view.first + len(steps) + 1]
    data = Table(table.columns[:outer], table.edges[:outer], np.empty((0, 0)))
    unit = float(batch.rewards[batch.lawful].std()) if batch.lawful.any() else 0.0
    return Course(
        base=data.cells(rows) * math.prod(sizes),
        edges=table.edges[outer:],
        strides=strides,
        first=first,
        gamma=gamma,
        unit=unit if unit > 0 else 1.0,
        share=lesson.random_starts,
        rows=np.ascontiguousarray(batch.rows, np.int64),
        local=np.ascontiguousarray(batch.local, np.float64),
    )


def _means(lesson: Lesson, population: Population, passes: int, unit: float) -> Matrix:
    """The values [S, A] of the cells: what was learned there, leaning on the mean of all cells.

    As in `simulated_values.solve_cells` a cell leans on the mean lead of each action over the
    others the more, the less often anybody came to it; where nobody did, that is all there is.
    """
    values, seen = population.learned()
    visits = seen.sum(axis=1, keepdims=True)
    level = (values * seen).sum(axis=1, keepdims=True) / np.maximum(visits, 1.0)
    middle = float((level * visits).sum() / max(float(visits.sum()), 1.0))
    lead = np.where(seen > 0, values - level, 0.0)
    mean = (lead * seen).sum(axis=0) / np.maximum(seen.sum(axis=0), 1.0)
    # So many visits are worth one row of the data.
    prior = lesson.shrinkage * population.members * passes + 1e-9
    leaning: Matrix = (visits * lead + prior * mean) / (visits + prior)
    leaning[seen == 0] = np.broadcast_to(mean, seen.shape)[seen == 0]
    level = np.where(visits > 0, level, middle)
    return (level + leaning) * unit
