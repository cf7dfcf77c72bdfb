"""Where trainings leave what TensorBoard reads: a folder of its own for each, in its pod's."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path

from spice_engine.protocol.pods import TrainingInfo

TENSORBOARD = "tensorboard"


class EventLogs:
    """The event files of all pods of an app folder; `state` is the engine's folder there."""

    def __init__(self, state: Path) -> None:
        self.root = state / TENSORBOARD

    def folder(self, pod: str, number: int) -> Path:
        """Where a training writes; whether it does is another matter."""
        return self.root / pod / str(number)

    def marked(self, infos: Iterable[TrainingInfo]) -> list[TrainingInfo]:
        """The trainings of one pod, with the loggers of which something is still there. Blocks."""
        found: set[str] | None = None
        told: list[TrainingInfo] = []
        for info in infos:
            if found is None:
                found = self._numbers(info.pod)
            logged = [TENSORBOARD] if str(info.number) in found else []
            told.append(dataclasses.replace(info, loggers=logged))
        return told

    def has(self, pod: str, number: int) -> bool:
        """Whether a training's files are there. Blocks."""
        return self.folder(pod, number).is_dir()

    def _numbers(self, pod: str) -> set[str]:
        try:
            return {one.name for one in (self.root / pod).iterdir()}
        except OSError:
            return set()
