"""What a training writes for TensorBoard while it goes on, where `training.loggers` asks for it."""

from __future__ import annotations

import contextlib
import math
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, cast

from spice_engine.learning.event_file import EventFile

if TYPE_CHECKING:
    from spice_engine.workers.child import Report

KEPT = 50
"""Trainings of a pod whose files are kept; older ones are removed when another begins."""
MAX_BYTES = 32 * 2**20
"""A file that is longer grows no more: that are some 50,000 episodes."""

REFERENCES = ("random", "best_constant", "oracle")
PARTS = ("in_sample", "held_out", "refit")
FIGURES = ("score", "regret_closed", "gain")


class TrainingLog:
    """A `Report` that also writes every episode into an event file, and passes on all it is given.

    A disk that refuses ends no training: what follows is then not written.
    """

    def __init__(self, report: Report, folder: Path | None) -> None:
        """`folder` is the training's own, named by its number; None where nothing is written."""
        self._report = report
        self._file: EventFile | None = None
        self._steps = 0
        if folder is not None:
            with contextlib.suppress(OSError):
                make_room(folder)
                self._file = EventFile(folder, time.time())

    @classmethod
    def of(cls, params: Mapping[str, Any], report: Report) -> Self:
        """That of a trainer's call, which says under `tensorboard` where."""
        given = params.get("tensorboard")
        return cls(report, Path(given) if given else None)

    @property
    def cancelled(self) -> bool:
        """Whether the caller no longer wants the answer."""
        return self._report.cancelled

    def check(self) -> None:
        """Raises `Cancelled` if the caller no longer wants the answer."""
        self._report.check()

    def report(self, data: Any) -> None:
        """Sends progress, and writes it down where it is an episode."""
        self._report.report(data)
        if data.get("kind") == "episode":
            self._steps = data["episode"]
            self._add(data["end"], episode_scalars(data))

    def evaluated(self, evaluation: Mapping[str, Any]) -> None:
        """Write how the policy of the training was evaluated, at the last episode's step."""
        self._add(time.time(), evaluation_scalars(evaluation))

    def close(self) -> None:
        """Write no more."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _add(self, moment: float, values: Mapping[str, float]) -> None:
        if self._file is None or self._file.size > MAX_BYTES:
            return
        try:
            self._file.scalars(self._steps, moment, values)
        except OSError:
            self.close()


def make_room(folder: Path) -> None:
    """Remove what an earlier training of that number left, and all but the newest of the others.

    Raises:
        OSError: the folder above cannot be made or read.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
    numbers = sorted(int(one.name) for one in folder.parent.iterdir() if one.name.isdecimal())
    for number in numbers[: max(len(numbers) - (KEPT - 1), 0)]:
        shutil.rmtree(folder.parent / str(number), ignore_errors=True)


def episode_scalars(episode: Mapping[str, Any]) -> dict[str, float]:
    """An episode's curves by their tags: score, losses, what else is told, counts of actions."""
    found: dict[str, float] = {"score": episode["score"]}
    for name, value in episode.get("detail", {}).items():
        if name == "losses":
            found |= {f"loss/{one}": float(loss) for one, loss in value.items()}
        if not _is_number(value):
            continue
        if name in REFERENCES:
            found[f"reference/{name}"] = float(value)
        elif name in ("regret_closed", "folds_score"):
            found[name] = float(value)
        else:
            found[f"learning/{name}"] = float(value)
    for action, count in episode["actions_taken"].items():
        found[f"actions/{action}"] = float(count)
    return found


def evaluation_scalars(evaluation: Mapping[str, Any]) -> dict[str, float]:
    """The final figures by their tags, as in `held_out/regret_closed`."""
    found: dict[str, float] = {}
    for part in PARTS:
        figures = cast("object", evaluation.get(part))
        if isinstance(figures, Mapping):
            told = cast("Mapping[str, Any]", figures)
            for name in FIGURES:
                if _is_number(told.get(name)):
                    found[f"{part}/{name}"] = float(told[name])
    return found


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
