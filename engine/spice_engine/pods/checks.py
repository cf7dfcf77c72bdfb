"""What must hold between the parts of a manifest; in the original's order and words."""

from __future__ import annotations

from collections.abc import Mapping

from spice_engine.errors import Place
from spice_engine.learning.reward_check import check_rewards
from spice_engine.learning.source import Source
from spice_engine.pods.gym_checks import check_gym
from spice_engine.pods.model import TIME_CATEGORIES, Manifest, RewardFile
from spice_engine.pods.reader import Reader
from spice_engine.units import format_duration

MAX_BUCKETS = 20_000_000
MAX_FIELDS = 4_096
_SECOND = 1_000_000_000


def check(
    reader: Reader,
    manifest: Manifest,
    places: Mapping[str, Place],
    root: Place,
    *,
    params_good: bool,
) -> None:
    """Note every problem; `places` are those of the manifest's parts that are there.

    `params_good` says that the params were readable, so that comparing them makes sense.
    """
    if params_good:
        _check_times(reader, manifest, places.get("params", root))
    _check_dataspaces(reader, manifest, places.get("dataspaces", root))
    _check_fields(reader, manifest)
    if not manifest.actions:
        message = "at least one action is required for training"
        reader.error("no_actions", places.get("actions", root), message)
    _check_ranges(reader, manifest)
    _check_rewards(reader, manifest)
    _check_tests(reader, manifest)
    check_gym(reader, manifest, places)


def _check_times(reader: Reader, manifest: Manifest, place: Place) -> None:
    params = manifest.params
    if params.granularity > params.interval:
        message = "granularity must be less than or equal to interval"
        reader.error("invalid_params", place, message)
    elif params.interval % params.granularity:
        used = format_duration(manifest.span * params.granularity * _SECOND)
        message = f"interval is no multiple of granularity: only {used} of it are looked back on."
        reader.warning("uneven_interval", place, message)
    if params.interval > params.period:
        reader.error("invalid_params", place, "interval must be less than or equal to period")
    if params.interpolation and params.period // params.granularity > MAX_BUCKETS:
        message = f"period holds more than {MAX_BUCKETS} buckets of granularity: enlarge it."
        reader.error("invalid_params", place, message)


def _check_dataspaces(reader: Reader, manifest: Manifest, place: Place) -> None:
    if not manifest.dataspaces:
        message = "at least one dataspace is required for training"
        reader.error("no_dataspaces", place, message)
    elif not manifest.fields:
        message = "no dataspace has a measurement: there is nothing to learn from"
        reader.error("no_measurements", place, message)
    if manifest.params.epoch_time is not None:
        return
    for space in manifest.dataspaces:
        connector = space.data.connector if space.data else None
        if connector is None or connector.name != "file":
            continue
        if connector.params.get("watch", "").lower() == "true":
            continue  # it grows, and the period with it
        path = connector.params.get("path", "")
        message = (
            f"'{path}' is a file, but params.epoch_time is missing: the period "
            "slides with the clock and leaves its data behind. Set it to the first time in it."
        )
        reader.warning("static_file_without_epoch", connector.place_of("path"), message)


def _check_fields(reader: Reader, manifest: Manifest) -> None:
    """Different columns must not meet in one field name: a_b + c and a + b_c do."""
    clock = [name for one in manifest.time_categories for name in TIME_CATEGORIES[one]]
    owners = dict.fromkeys(clock, "time.categories")
    for space in manifest.dataspaces:
        columns = [(space.field(one), one.name, one.place) for one in space.measurements]
        columns += [
            (column, one.name, one.place)
            for one in space.categories
            for column in space.category_fields(one)
        ]
        if space.tags:
            tags = zip(space.tag_fields(), space.tags.values, strict=True)
            columns += [(column, value, space.tags.place) for column, value in tags]
        for column, name, place in columns:
            owner = f"{space.path}/{name}"
            if column in owners:
                message = f"'{owner}' and '{owners[column]}' both give the field '{column}'."
                reader.error("duplicate_field", place, message)
            owners[column] = owner
    if len(owners) > MAX_FIELDS:
        message = f"The dataspaces give more than {MAX_FIELDS} fields."
        reader.error("too_many_fields", manifest.dataspaces[0].place, message)


def _check_ranges(reader: Reader, manifest: Manifest) -> None:
    """What an environment takes is a number from 0 on for each action, in their order."""
    for action in manifest.actions:
        if action.range is not None and manifest.gym is not None:
            message = (
                "The environment takes discrete actions, which have no values: leave the range "
                "out, and list an action for each that it knows."
            )
            reader.error("unsupported_range", action.range.place, message)


def _check_rewards(reader: Reader, manifest: Manifest) -> None:
    rewards = manifest.training.rewards
    if rewards is None:
        return
    actions = manifest.action_names
    names = rewards.functions if isinstance(rewards, RewardFile) else rewards
    for action in manifest.actions:
        if action.name not in names:
            message = f"reward for action '{action.name}' is invalid '': there is none"
            reader.error("missing_reward", action.place, message)
    for name in names:
        if name not in actions:
            close = reader.close_to(name, actions)
            hint = f" Did you mean '{close}'?" if close else ""
            message = f"There is no action '{name}' for this reward.{hint}"
            reader.warning("unused_reward", _place_of(rewards, name), message)
    # With too many fields, which is an error by itself, guesses at names would take minutes.
    if not isinstance(rewards, RewardFile) and len(manifest.fields) <= MAX_FIELDS:
        ranged = [one.name for one in manifest.actions if one.range]
        init, fields = manifest.training.reward_init, manifest.fields
        for finding in check_rewards(init, rewards, fields, ranged):
            reader.finding(finding)


def _place_of(rewards: Mapping[str, Source] | RewardFile, name: str) -> Place:
    return rewards.place if isinstance(rewards, RewardFile) else rewards[name].place(1, 0)


def _check_tests(reader: Reader, manifest: Manifest) -> None:
    """Reward tests speak of actions and fields that there are."""
    for test in manifest.training.tests:
        if test.action not in manifest.action_names:
            close = reader.close_to(test.action, manifest.action_names)
            hint = f" Did you mean '{close}'?" if close else ""
            message = f"There is no action '{test.action}' for this reward test.{hint}"
            reader.error("unknown_action", test.place, message)
        ranged = any(one.range for one in manifest.actions if one.name == test.action)
        if ranged is (test.value is None):
            needs = "needs" if ranged else "takes no"
            message = f"A reward test of '{test.action}' {needs} 'action_value'."
            reader.error("invalid_test", test.place, message)
        for name in dict.fromkeys((*test.current, *test.next)):
            if name not in manifest.fields:
                close = reader.close_to(name, manifest.fields)
                hint = f" Did you mean '{close}'?" if close else ""
                message = f"There is no field '{name}', which this reward test names.{hint}"
                reader.error("unknown_field", test.place, message)
