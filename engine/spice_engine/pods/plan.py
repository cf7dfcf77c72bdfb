"""From a manifest to what the loader and the trainer are asked: plain data, and a fingerprint."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

from spice_engine.data.connectors import gym as gym_connector
from spice_engine.data.connectors.file import read, resolve
from spice_engine.errors import InvalidData
from spice_engine.learning.catalog import NETWORKS
from spice_engine.pods.model import Action, Dataspace, Feed, Manifest, Part, RewardFile, Training
from spice_engine.pods.problems import place_as_dict

LEARNING_VERSION = 5
"""Grows when the same inputs would give another policy, so that stored ones are trained again."""

LOCAL_CONNECTORS = frozenset({"file", "sql"})
"""Connectors whose `path` names a file that the loader reads itself."""


def loader_params(
    manifest: Manifest,
    app_folder: Path,
    out_folder: Path,
    now: float,
    observations: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """What `spice_engine.data.loader.load` takes.

    `now` in unix seconds; `observations` are the files of what was posted and streamed.
    """
    params = manifest.params
    return {
        "app_folder": str(app_folder),
        "out_folder": str(out_folder),
        "epoch": params.epoch_time,
        "period": params.period,
        "granularity": params.granularity,
        "interpolation": params.interpolation,
        "time_categories": list(manifest.time_categories),
        "now": now,
        "dataspaces": dataspaces(manifest),
        "observations": [dict(file) for file in observations],
    }


def dataspaces(manifest: Manifest) -> list[dict[str, Any]]:
    """The dataspaces as the loader's process takes them."""
    return [_dataspace(space, places=True) for space in manifest.dataspaces]


def trainer_params(
    manifest: Manifest,
    loaded: Mapping[str, Any],
    app_folder: Path,
    *,
    fingerprint: str,
    interpretations: Sequence[Mapping[str, Any]] = (),
    algorithm: str = "",
    episodes: int | None = None,
    loggers: Sequence[str] = (),
    continual: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """What `spice_engine.learning.trainer.train` takes, from what the loader returned.

    `algorithm` and `episodes` override the manifest's; hyperparameters are those of one algorithm.
    `loggers` come on top of the manifest's own.
    `continual` is what the new policy is held against.
    """
    training = manifest.training
    own = not algorithm or algorithm == training.algorithm
    return {
        "values": loaded["values"],
        "times": loaded["times"],
        "training_rows": loaded["training_rows"],
        "first_datum": loaded["first_datum"],
        "fields": list(loaded["fields"]),
        "indicators": list(manifest.indicators),
        "actions": list(manifest.action_names),
        "ranges": ranges(manifest),
        "rewards": rewards(manifest, app_folder),
        "simulation": simulation(manifest),
        "gym": gym(manifest),
        "interpretations": [dict(one) for one in interpretations],
        "span": manifest.span,
        "granularity": manifest.params.granularity,
        "interpolation": manifest.params.interpolation,
        "algorithm": algorithm or training.algorithm,
        "episodes": episodes or manifest.params.episodes,
        "holdout": training.holdout,
        "seed": training.seed,
        "goal": training.goal,
        "patience": training.patience,
        "hyperparameters": dict(training.hyperparameters) if own else {},
        "accelerator": training.accelerator,
        "features": training.features,
        "confidence": training.confidence,
        "fingerprint": fingerprint,
        "loggers": sorted({*training.loggers, *loggers}),
        "continual": None if continual is None else dict(continual),
    }


def checkpoint(params: Mapping[str, Any]) -> str:
    """The name of the file where a training keeps what it has done.

    It tells a training with `trainer_params` from others of the same pod.
    """
    told = [params["fingerprint"], params["algorithm"], params["episodes"]]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:32]


def ranges(manifest: Manifest) -> dict[str, dict[str, Any]]:
    """The values of the actions that have a range: `from`, `to` and `unit`."""
    given = {one.name: one.range for one in manifest.actions}
    return {
        name: {"from": found.low, "to": found.high, "unit": found.unit}
        for name, found in given.items()
        if found is not None
    }


def rewards(manifest: Manifest, app_folder: Path) -> dict[str, Any] | None:
    """The reward code of a pod as plain data; None where every action gets 1."""
    training = manifest.training
    if training.rewards is None:
        return None
    if isinstance(training.rewards, RewardFile):
        file = training.rewards
        return {
            "file": str(resolve(app_folder, file.path, file.place)),
            "functions": dict(file.functions),
            "place": place_as_dict(file.place),
        }
    return {
        "init": training.reward_init.as_dict() if training.reward_init else None,
        "actions": {name: code.as_dict() for name, code in training.rewards.items()},
    }


def reads_interpretations(manifest: Manifest) -> bool:
    """Whether the rewards may read interpretations: those of a file may, others by name."""
    training = manifest.training
    if training.rewards is None or isinstance(training.rewards, RewardFile):
        return training.rewards is not None
    codes = [*training.rewards.values(), *([training.reward_init] if training.reward_init else [])]
    return any("_state_interpretations" in code.text for code in codes)


def reward_tests(manifest: Manifest) -> list[dict[str, Any]]:
    """The reward tests as the trainer's process takes them.

    Fields that a test does not name are at their initializers, indicators at 0, and the next
    state is like the current one.
    """
    initial = dict.fromkeys(manifest.fields, 0.0) | {
        space.field(one): one.initializer
        for space in manifest.dataspaces
        for one in space.measurements
    }
    return [
        {
            "action": test.action,
            "value": test.value,
            "current": initial | dict(test.current),
            "next": initial | dict(test.current) | dict(test.next),
            "expect": test.expect,
            "place": place_as_dict(test.place),
        }
        for test in manifest.training.tests
    ]


def simulation(manifest: Manifest) -> dict[str, Any] | None:
    """Effects and laws as plain data; None where no action changes a field."""
    if not manifest.simulated:
        return None
    initial = {
        space.field(one): one.initializer
        for space in manifest.dataspaces
        if space.data is None
        for one in space.measurements
    }
    return {
        "local": list(manifest.local_fields),
        "initial": initial,
        "effects": {
            action.name: _effect(action) for action in manifest.actions if action.effect is not None
        },
        "laws": [{"code": law.code.as_dict(), "names": dict(law.names)} for law in manifest.laws],
    }


def gym(manifest: Manifest) -> dict[str, Any] | None:
    """The environment that a pod acts in as the trainer's process takes it; None of other pods."""
    space = manifest.gym
    if space is None or space.data is None or space.data.connector is None:
        return None
    connector = space.data.connector
    params = gym_connector.parse(connector.params, connector.place_of)
    actions = manifest.actions
    return {
        "environment": params.environment,
        "options": dict(params.options),
        "place": place_as_dict(connector.place_of("environment")),
        "measurements": [
            {
                "name": one.name,
                "field": space.field(one),
                "selector": one.selector,
                "place": place_as_dict(one.place),
            }
            for one in space.measurements
        ],
        "fields_place": place_as_dict(space.place),
        "actions": list(manifest.action_names),
        "actions_place": place_as_dict(actions[0].place if actions else space.place),
    }


def _effect(action: Action) -> dict[str, Any]:
    effect = action.effect
    assert effect is not None
    return {
        "code": effect.code.as_dict(),
        "names": dict(effect.names),
        "args": dict(effect.args),
    }


def files(manifest: Manifest, app_folder: Path) -> tuple[Path, ...]:
    """Absolute paths of the files that the pod reads: data and reward functions.

    Those that it may not read are left out.
    """
    paths: dict[Path, None] = {}
    wanted = [
        feed.connector.params.get("path", "")
        for space in manifest.dataspaces
        for feed in (space.seed_data, space.data)
        if feed and feed.connector and feed.connector.name in LOCAL_CONNECTORS
    ]
    if isinstance(manifest.training.rewards, RewardFile):
        wanted.append(manifest.training.rewards.path)
    for path in wanted:
        with suppress(InvalidData):  # reported by the loader, with its place
            paths[resolve(app_folder, path)] = None
    return tuple(paths)


def fingerprint(
    manifest: Manifest,
    loaded: Mapping[str, Any],
    app_folder: Path,
    *,
    interpretations: Sequence[Mapping[str, Any]] = (),
) -> str:
    """A hash of all that can change the policy: the manifest's meaning, files, interpretations.

    `loaded` is what the loader returned. Comments, layout and the manifest's place don't count;
    neither do the clock, what a person asked for by hand, and what is posted or streamed: such
    data is learned from whenever the pod is trained, and does not train it by itself. Blocks on
    the reward file.

    Raises InvalidData where the reward file cannot be read.
    """
    params, training = manifest.params, manifest.training
    content = {
        "version": LEARNING_VERSION,
        "params": [
            params.epoch_time,
            params.period,
            params.interval,
            params.granularity,
            params.interpolation,
        ],
        "episodes": params.episodes,
        "dataspaces": [_dataspace(space, places=False) for space in manifest.dataspaces],
        "time": manifest.time_categories,
        "actions": manifest.action_names,
        "simulation": without_places(simulation(manifest)),
        "rewards": _reward_text(manifest, app_folder),
        "interpretations": [dict(one) for one in interpretations],
        "training": [
            training.algorithm,
            training.holdout,
            training.seed,
            training.goal,
            training.patience,
            training.features,
            training.confidence,
            dict(training.hyperparameters),
        ],
        "files": {file["path"]: file["sha256"] for file in loaded["files"]},
        # What there was before ranges keeps its fingerprint.
        **({"ranges": found} if (found := ranges(manifest)) else {}),
        **({"accelerator": "cuda"} if _rounds_otherwise(training) else {}),
    }
    text = json.dumps(content, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _rounds_otherwise(training: Training) -> bool:
    """Whether networks are to learn on a GPU, whose sums are rounded in another order."""
    return training.accelerator == "cuda" and training.algorithm in NETWORKS


def _reward_text(manifest: Manifest, app_folder: Path) -> Any:
    """The rewards without places, by their text; a reward file by its content."""
    training = manifest.training
    if training.rewards is None:
        return None
    if isinstance(training.rewards, RewardFile):
        file = training.rewards
        content = read(app_folder, file.path, file.place)
        return [content.digest, dict(file.functions)]
    init = training.reward_init.text if training.reward_init else None
    return [init, {name: code.text for name, code in training.rewards.items()}]


def without_places(value: Any) -> Any:
    """Plain data without what only says where code stands."""
    if isinstance(value, dict):
        data = cast("dict[str, Any]", value)
        return {
            key: without_places(part)
            for key, part in data.items()
            if key not in {"file", "line", "column", "exact", "place", "places"}
        }
    if isinstance(value, list):
        return [without_places(part) for part in cast("list[Any]", value)]
    return value


def _dataspace(space: Dataspace, *, places: bool) -> dict[str, Any]:
    """A dataspace as plain data, with or without where in the manifest it stands."""
    answer: dict[str, Any] = {
        "from": space.source,
        "name": space.name,
        "seed": _feed(space.seed_data),
        "data": _feed(space.data),
        "identifiers": [{"name": one.name, "selector": one.selector} for one in space.identifiers],
        "measurements": [
            {
                "name": one.name,
                "field": space.field(one),
                "selector": one.selector,
                "initializer": one.initializer,
                "fill": one.fill,
                "place": place_as_dict(one.place),
            }
            for one in space.measurements
        ],
        "categories": [
            {
                "name": one.name,
                "selector": one.selector,
                "values": list(one.values),
                "fields": list(space.category_fields(one)),
            }
            for one in space.categories
        ],
        "tags": None,
    }
    if space.tags is not None:
        answer["tags"] = {
            "selectors": list(space.tags.selectors),
            "values": list(space.tags.values),
            "fields": list(space.tag_fields()),
        }
    return answer if places else without_places(answer)


def _feed(feed: Feed | None) -> dict[str, Any] | None:
    if feed is None:
        return None
    return {"connector": _part(feed.connector), "processor": _part(feed.processor)}


def _part(part: Part | None) -> dict[str, Any] | None:
    if part is None:
        return None
    return {
        "name": part.name,
        "params": dict(part.params),
        "place": place_as_dict(part.place),
        "places": {name: place_as_dict(place) for name, place in part.places.items()},
    }
