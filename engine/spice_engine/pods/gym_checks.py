"""What must hold of a pod with an environment; the environment itself a trainer looks at."""

from __future__ import annotations

from collections.abc import Mapping

from spice_engine.data.connectors import gym
from spice_engine.errors import Place
from spice_engine.learning.gym_algorithms import PROFILES
from spice_engine.pods.model import Manifest
from spice_engine.pods.reader import Reader


def check_gym(reader: Reader, manifest: Manifest, places: Mapping[str, Place]) -> None:
    """Note what an environment does not go together with; nothing of other pods."""
    for space in manifest.dataspaces:
        seed = space.seed_data.connector if space.seed_data else None
        if seed is not None and seed.name == gym.NAME:
            message = "An environment is no seed data: it belongs under 'data'."
            reader.error("invalid_environment_use", seed.place, message)
    if manifest.gym is None:
        return
    space = manifest.gym
    for other in manifest.dataspaces:
        if other is not space:
            message = (
                f"'{space.path}' is an environment, which shows all that there is to act on: a pod "
                "with one has no other dataspace."
            )
            reader.error("invalid_environment_use", other.place, message)
    several = [one.place for one in space.categories] + ([space.tags.place] if space.tags else [])
    for place in several:
        message = "An environment shows numbers: name its codes as measurements, too."
        reader.error("invalid_environment_use", place, message)
    if manifest.time_categories:
        message = "An environment has no clock: leave 'time' out."
        reader.error("invalid_environment_use", places.get("time", space.place), message)
    for law in space.laws:
        message = "The environment itself says what may be done: the law is ignored."
        reader.warning("unused_code", law.place(1, 0), message)
    if manifest.training.continual is not None:
        message = "An environment brings no new rows, so 'continual' trains nothing again."
        reader.warning("unused_continual", places.get("training", space.place), message)
    algorithm = manifest.training.algorithm
    if algorithm not in PROFILES:
        message = (
            f"The algorithm '{algorithm}' does not learn by acting in an environment: use "
            f"{', '.join(PROFILES)}."
        )
        reader.error("invalid_algorithm", places.get("training", space.place), message)
