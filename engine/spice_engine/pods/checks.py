"""What must hold between the parts of a manifest; in the original's order and words."""

from __future__ import annotations

from collections.abc import Mapping

from spice_engine.errors import Place
from spice_engine.learning.reward_check import check_rewards
from spice_engine.pods.model import Manifest
from spice_engine.pods.problems import Fix, Problem, did_you_mean
from spice_engine.pods.reader import Reader
from spice_engine.units import format_duration

MAX_BUCKETS = 20_000_000
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
    if not manifest.actions:
        message = "at least one action is required for training"
        reader.error("no_actions", places.get("actions", root), message)
    _check_rewards(reader, manifest)


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
    if params.period // params.granularity > MAX_BUCKETS:
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
        if space.connector and space.connector.name == "file":
            message = (
                f"'{space.connector.path}' is a file, but params.epoch_time is missing: the period "
                "slides with the clock and leaves its data behind. Set it to the first time in it."
            )
            reader.warning("static_file_without_epoch", space.connector.place, message)


def _check_rewards(reader: Reader, manifest: Manifest) -> None:
    rewards = manifest.training.rewards
    if rewards is None:
        return
    actions = manifest.action_names
    for action in manifest.actions:
        if action.name not in rewards:
            message = f"reward for action '{action.name}' is invalid '': there is none"
            reader.error("missing_reward", action.place, message)
    for name, code in rewards.items():
        if name not in actions:
            close = did_you_mean(name, actions)
            hint = f" Did you mean '{close}'?" if close else ""
            message = f"There is no action '{name}' for this reward.{hint}"
            reader.warning("unused_reward", code.place(1, 0), message)
    for finding in check_rewards(manifest.training.reward_init, rewards, manifest.fields):
        message = f"{finding.message} {finding.hint}".strip()
        fix = None
        if finding.replacement:
            fix = Fix(f"Write {finding.replacement}", finding.place, finding.replacement)
        problem = Problem(finding.code, finding.severity, finding.place, message, fix)
        reader.problems.append(problem)
