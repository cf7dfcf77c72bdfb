"""Whether a manifest and what it names go together: its environment, its reward functions."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from pathlib import Path

from spice_engine.errors import SpiceError
from spice_engine.pods import plan
from spice_engine.pods.live import problem_from, problem_of
from spice_engine.pods.model import Manifest
from spice_engine.pods.reward_functions import function_problems
from spice_engine.protocol.pods import ProblemInfo
from spice_engine.workers.pool import ChildPool

log = logging.getLogger(__name__)

LOOK_SECONDS = 20.0
"""An environment is made in a moment; trainers may be at work."""


async def named_problems(
    trainers: ChildPool, root: Path, manifest: Manifest | None
) -> list[ProblemInfo]:
    """The findings of a pod's environment and of its file of reward functions."""
    found = await _environment_problems(trainers, manifest)
    return [*found, *await asyncio.to_thread(function_problems, root, manifest)]


async def _environment_problems(
    trainers: ChildPool, manifest: Manifest | None
) -> list[ProblemInfo]:
    """The findings of a pod's environment; none for pods without one.

    A trainer makes it: the engine itself runs no code of others. Where none is free in time, a
    warning says that nobody has looked.
    """
    asked = plan.gym(manifest) if manifest is not None else None
    if manifest is None or asked is None:
        return []
    try:
        found = await trainers.call("check_gym", asked, deadline=LOOK_SECONDS)
    except SpiceError as error:
        log.info("pod %s: its environment was not looked at: %s", manifest.name, error)
        problem = problem_of(error, manifest.file)
        message = f"The environment could not be looked at: {error.message}"
        return [dataclasses.replace(problem, severity="warning", message=message)]
    return [problem_from(one) for one in found]
