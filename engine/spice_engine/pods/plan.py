"""From a manifest to what the loader and the trainer are asked: plain data, and a fingerprint."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from spice_engine.data.connectors.file import resolve
from spice_engine.errors import InvalidData
from spice_engine.pods.model import Dataspace, Manifest
from spice_engine.pods.problems import place_as_dict

LEARNING_VERSION = 2
"""Grows when the same inputs would give another policy, so that stored ones are trained again."""


def loader_params(
    manifest: Manifest, app_folder: Path, out_folder: Path, now: float
) -> dict[str, Any]:
    """What `spice_engine.data.loader.load` takes. `now` in unix seconds."""
    params = manifest.params
    return {
        "app_folder": str(app_folder),
        "out_folder": str(out_folder),
        "epoch": params.epoch_time,
        "period": params.period,
        "granularity": params.granularity,
        "now": now,
        "dataspaces": [_dataspace(space, places=True) for space in manifest.dataspaces],
    }


def trainer_params(
    manifest: Manifest,
    loaded: Mapping[str, Any],
    *,
    algorithm: str = "",
    episodes: int | None = None,
) -> dict[str, Any]:
    """What `spice_engine.learning.trainer.train` takes, from what the loader returned.

    `algorithm` and `episodes` override the manifest's.
    """
    training = manifest.training
    rewards: dict[str, Any] | None = None
    if training.rewards is not None:
        rewards = {
            "init": training.reward_init.as_dict() if training.reward_init else None,
            "actions": {name: code.as_dict() for name, code in training.rewards.items()},
        }
    return {
        "values": loaded["values"],
        "times": loaded["times"],
        "training_rows": loaded["training_rows"],
        "first_datum": loaded["first_datum"],
        "fields": list(loaded["fields"]),
        "actions": list(manifest.action_names),
        "rewards": rewards,
        "span": manifest.span,
        "granularity": manifest.params.granularity,
        "algorithm": algorithm or training.algorithm,
        "episodes": episodes or manifest.params.episodes,
        "holdout": training.holdout,
        "seed": training.seed,
        "goal": training.goal,
        "fingerprint": fingerprint(manifest, loaded),
    }


def data_files(manifest: Manifest, app_folder: Path) -> tuple[Path, ...]:
    """Absolute paths of the files that the pod reads; those it may not read are left out."""
    paths: dict[Path, None] = {}
    for space in manifest.dataspaces:
        if space.connector is not None:
            with suppress(InvalidData):  # reported by the loader, with its place
                paths[resolve(app_folder, space.connector.path)] = None
    return tuple(paths)


def fingerprint(manifest: Manifest, loaded: Mapping[str, Any]) -> str:
    """A hash of all that can change the policy: the manifest's meaning, and the data files.

    `loaded` is what the loader returned. Comments, layout and the file's place don't count;
    neither does the clock.
    """
    params, training = manifest.params, manifest.training
    rewards = training.rewards
    content = {
        "version": LEARNING_VERSION,
        "params": [params.epoch_time, params.period, params.interval, params.granularity],
        "episodes": params.episodes,
        "dataspaces": [_dataspace(space, places=False) for space in manifest.dataspaces],
        "actions": manifest.action_names,
        "reward_init": training.reward_init.text if training.reward_init else None,
        "rewards": None if rewards is None else {name: rewards[name].text for name in rewards},
        "training": [training.algorithm, training.holdout, training.seed, training.goal],
        "files": {file["path"]: file["sha256"] for file in loaded["files"]},
    }
    text = json.dumps(content, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _dataspace(space: Dataspace, *, places: bool) -> dict[str, Any]:
    """A dataspace as plain data, with or without where in the manifest it stands."""
    connector, processor = space.connector, space.processor
    answer: dict[str, Any] = {
        "from": space.source,
        "name": space.name,
        "connector": None,
        "processor": None,
        "measurements": [],
    }
    if connector is not None and processor is not None:
        source: dict[str, Any] = {"name": connector.name, "path": connector.path}
        if places:
            source["place"] = place_as_dict(connector.place)
        answer["connector"] = source
        answer["processor"] = {
            "name": processor.name,
            "time_selector": processor.time_selector,
            "time_format": processor.time_format,
        }
    for one in space.measurements:
        measurement: dict[str, Any] = {
            "name": one.name,
            "field": space.field(one),
            "selector": one.selector,
            "initializer": one.initializer,
            "fill": one.fill,
        }
        if places:
            measurement["place"] = place_as_dict(one.place)
        answer["measurements"].append(measurement)
    return answer
