"""Makes gymnasium's environments, and says what they are like.

An environment that comes with a vectorised form of its own is stepped by that where we know how to
reset single lanes of it (CartPole); all others are many copies stepped one after the other.
"""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Mapping
from typing import Any, cast

import gymnasium
from gymnasium import error, spaces
from gymnasium.envs.classic_control.cartpole import CartPoleVectorEnv
from gymnasium.vector import AutoresetMode

from spice_engine.errors import InvalidEnvironment
from spice_engine.learning.environments.gym_facts import Facts
from spice_engine.learning.environments.observations import components

OWN_LIMIT = 1_000
"""Steps after which an episode is cut where the environment has no limit of its own."""

RESERVED = frozenset({"render_mode", "num_envs", "vectorization_mode", "vector_kwargs", "wrappers"})
"""Arguments of gymnasium's `make` that are not the pod's to choose."""

MAX_ACTIONS = 1_000
_CARTPOLE = f"{CartPoleVectorEnv.__module__}:{CartPoleVectorEnv.__name__}"


def describe(name: str, options: Mapping[str, Any]) -> Facts:
    """What an environment is like. Raises InvalidEnvironment where it cannot be learned from."""
    threshold = _spec(name).reward_threshold
    environment, limit = make(name, options, 1)
    try:
        actions = environment.single_action_space
        if not isinstance(actions, spaces.Discrete):
            raise InvalidEnvironment(
                f"The actions of '{name}' are {type(actions).__name__}, no choice of one of a few.",
                hint="Take an environment whose action space is Discrete.",
            )
        count = action_range(environment)[0]
        if not 1 <= count <= MAX_ACTIONS:
            raise InvalidEnvironment(f"'{name}' has {count} actions, over {MAX_ACTIONS}.")
        shown = components(environment.single_observation_space)
    finally:
        environment.close()
    return Facts(shown, count, None if threshold is None else float(threshold), limit)


def action_range(environment: Any) -> tuple[int, int]:
    """How many actions an environment has, and the number of the first."""
    space = environment.single_action_space
    return int(space.n), int(space.start)


def make(name: str, options: Mapping[str, Any], lanes: int) -> tuple[Any, int]:
    """A vector environment of gymnasium's, and the steps of an episode at most.

    It resets no lane by itself, but that of CartPole's, which does one step late.
    Raises InvalidEnvironment where there is no such environment, or making it fails.
    """
    for option in options:
        if option in RESERVED:
            raise InvalidEnvironment(f"The option '{option}' of an environment cannot be set here.")
    spec = _spec(name)
    limit = options.get("max_episode_steps", spec.max_episode_steps) or OWN_LIMIT
    if not isinstance(limit, int) or limit < 1:
        raise InvalidEnvironment("The option 'max_episode_steps' is a whole number, 1 or more.")
    given: dict[str, Any] = {**options, "max_episode_steps": limit}
    form: dict[str, Any] = {"vectorization_mode": "vector_entry_point"}
    if spec.vector_entry_point != _CARTPOLE:
        form = {
            "vectorization_mode": "sync",
            "vector_kwargs": {"autoreset_mode": AutoresetMode.DISABLED},
            "disable_env_checker": True,
        }
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return gymnasium.make_vec(name, lanes, **form, **given), limit
    except Exception as failure:
        raise failed(name, "making it", failure) from failure


def failed(name: str, what: str, failure: Exception) -> InvalidEnvironment:
    """What the code of an environment raised, as an error of the pod."""
    kind = "" if isinstance(failure, error.Error) else f"{type(failure).__name__}: "
    return InvalidEnvironment(f"The environment '{name}' failed in {what}: {kind}{_said(failure)}")


def _spec(name: str) -> Any:
    """Gymnasium's record of an environment. Raises InvalidEnvironment where there is none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that there is a newer version of it
            return gymnasium.spec(name)
    except (error.Error, ImportError, ValueError) as failure:
        known = [str(one) for one in cast("Mapping[str, Any]", gymnasium.registry)]
        near = difflib.get_close_matches(name, known, 3, 0.5)
        hint = f"There are {', '.join(known[:8])} and more."
        if near:
            hint = f"Did you mean {' or '.join(near)}?"
        reason = _said(failure).partition(" Did you mean")[0]
        message = f"gymnasium has no environment '{name[:200]}': {reason}"
        raise InvalidEnvironment(message, hint=hint) from failure


def _said(failure: Exception) -> str:
    text = " ".join(str(failure).split())[:500]
    return text if text.endswith((".", "!", "?")) else f"{text}."
