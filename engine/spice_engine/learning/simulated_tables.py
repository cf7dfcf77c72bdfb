"""Fitted Q iteration over a table: quantile bins of the few features that tell most."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from spice_engine.learning.algorithms.table import Table
from spice_engine.learning.features import Matrix
from spice_engine.learning.simulated_fit import Fitted, Lesson, cells_of
from spice_engine.learning.simulated_values import shape_targets, solve_cells

STEPS = ((4, False), (4, True), (8, False), (8, True), (16, False), (16, True))
"""Bins of each feature, and whether what comes counts."""


def fit_tables(lesson: Lesson) -> Iterator[Fitted]:
    """A table; its features explain the last one's targets."""
    batch = lesson.batch
    raw = lesson.view.at(batch.rows, batch.local)
    targets, step = batch.rewards, 0
    while True:
        bins, ahead = STEPS[min(step, len(STEPS) - 1)]
        bins = min(bins, lesson.table_bins)
        gamma = lesson.gamma if ahead else 0.0
        told = shape_targets(targets if ahead else batch.rewards, batch.lawful)
        columns = telling(raw, told, bins, lesson.table_features)
        edges = tuple(quantile_edges(raw[:, column], bins) for column in columns)
        empty = Table(columns, edges, np.empty((0, 0)))
        count = math.prod(len(one) + 1 for one in edges)
        groups = cells_of(lesson, raw, [(empty.cells, count)])
        (mean,), targets = solve_cells(
            groups,
            batch,
            gamma=lesson.gamma,
            prior=lesson.shrinkage * lesson.samples_per_step,
            check=lesson.check,
        )
        if not ahead:
            # The next one looks ahead from this one's values.
            (mean,), _ = solve_cells(
                groups,
                batch,
                gamma=0.0,
                prior=lesson.shrinkage * lesson.samples_per_step,
                check=lesson.check,
            )
        yield Fitted(Table(columns, edges, mean), gamma, {"gamma": gamma, "cells": count})
        step += 1


def quantile_edges(column: Matrix, bins: int) -> Matrix:
    """Cuts between the bins: a feature of few values gets a bin for each."""
    values = np.unique(column)
    if len(values) <= bins:
        return (values[:-1] + values[1:]) / 2
    return np.unique(np.quantile(column, np.arange(1, bins) / bins))


def telling(raw: Matrix, targets: Matrix, bins: int, most: int) -> tuple[int, ...]:
    """The features whose bins alone explain most of the targets, best first."""
    centred = targets - targets.mean(axis=0)
    gains: list[float] = []
    for index in range(raw.shape[1]):
        column: Matrix = raw[:, index]
        edges = quantile_edges(column, bins)
        codes = np.searchsorted(edges, column, side="left")
        counts = np.maximum(np.bincount(codes, minlength=len(edges) + 1), 1)
        sums = [np.bincount(codes, one, len(edges) + 1) for one in centred.T]
        gains.append(float(sum((one * one / counts).sum() for one in sums)))
    order = np.argsort(-np.array(gains), kind="stable")[:most]
    return tuple(int(column) for column in order if gains[column] > 0)
