"""Trials of a search over a pod: it is trained with other hyperparameters, beside the saved pod.

Nothing of it is stored but the score: the pod, its policies and its training runs stay as they
are. The children are their own, and the machine serves them last.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from spice_engine.errors import InvalidRequest
from spice_engine.learning.hyperparameters import parse
from spice_engine.pods import plan as plans
from spice_engine.pods.model import Manifest
from spice_engine.pods.preview_tables import PreviewTables
from spice_engine.pods.service import Pods
from spice_engine.pods.upkeep import require_enough
from spice_engine.runs.search_drive import Report
from spice_engine.runs.search_plan import Plan
from spice_engine.store.searches import TrialRow
from spice_engine.workers.pool import ChildPool

PARTS = {"holdout": "held_out", "training": "in_sample"}
"""Which part of an evaluation a score is of."""


class PodTrials:
    """Trains pods for searches; a `PodTrainer`."""

    def __init__(self, pods: Pods, loader: ChildPool, trainer: ChildPool, seconds: float) -> None:
        self._pods = pods
        self._trainer = trainer
        self._seconds = seconds
        self._tables = PreviewTables(pods.location, pods.observations, loader)

    async def check(self, plan: Plan) -> None:
        """Refuse parameters that are no hyperparameters of the pod's algorithm.

        Raises:
            NotFound: there is no such pod.
            InvalidRequest: it cannot be trained, or has no such hyperparameter or value.
        """
        training = self._manifest(plan.asked.pod).training
        if plan.asked.score == "holdout" and training.holdout <= 0:
            raise InvalidRequest(
                f"pod {plan.asked.pod!r} holds nothing out.", hint="--score training"
            )
        for one in plan.parameters:
            for value in one.values or (one.of_point(one.low), one.of_point(one.high)):
                parse(training.algorithm, {**training.hyperparameters, one.name: value})

    async def train(self, plan: Plan, trial: TrialRow, report: Report) -> float:
        """The score of a training with a trial's hyperparameters.

        Raises:
            SpiceError: it cannot be trained so.
        """
        pod, upkeep = plan.asked.pod, self._pods.upkeep
        manifest = _with(self._manifest(pod), trial.params)
        await upkeep.require_trust(manifest)

        def on_progress(data: Mapping[str, Any]) -> None:
            score = data.get("score")
            if data.get("kind", "episode") == "episode" and isinstance(score, float | int):
                report(int(data["episode"]), float(score))

        async with self._tables.reading(pod, manifest, observed=True) as loaded:
            said = await upkeep.interpretations(pod, manifest)
            require_enough(pod, manifest, loaded)
            params = plans.trainer_params(
                manifest,
                loaded,
                self._pods.location.root,
                fingerprint="",
                interpretations=said,
            )
            result = await self._trainer.call(
                "train", params, on_progress=on_progress, deadline=self._seconds
            )
        part = result["evaluation"].get(PARTS[plan.asked.score])
        score = math.nan if part is None else float(part["score"])
        if math.isnan(score):
            raise InvalidRequest("the training has no score on that part of the data.")
        return score

    def close(self) -> None:
        """Remove what is kept of data."""
        self._tables.close()

    def _manifest(self, pod: str) -> Manifest:
        manifest = self._pods.get(pod).manifest
        if manifest is None:
            raise InvalidRequest(
                f"the manifest of pod {pod!r} has errors.", hint=f"spice-tui lint {pod}"
            )
        return manifest


def _with(manifest: Manifest, hyperparameters: Mapping[str, Any]) -> Manifest:
    training = manifest.training
    own = {**training.hyperparameters, **hyperparameters}
    return dataclasses.replace(
        manifest, training=dataclasses.replace(training, hyperparameters=own)
    )
