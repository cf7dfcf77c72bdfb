"""The `params` and `time` parts of a manifest."""

from __future__ import annotations

from typing import NamedTuple

from spice_engine.errors import InvalidRequest
from spice_engine.pods.model import TIME_CATEGORIES, Params
from spice_engine.pods.reader import Reader
from spice_engine.units import parse_time
from spice_engine.yaml_tree import Node, Scalar

MAX_EPISODES = 10_000
_KEYS = (
    "epoch_time", "period", "interval", "granularity", "episodes", "interpolation",
    "training_loggers",
)  # fmt: skip


class ReadParams(NamedTuple):
    """The params; whether all of them could be read; and loggers as version 0.5.1 had them."""

    params: Params
    good: bool
    loggers: Node | None


def read_params(reader: Reader, node: Node | None) -> ReadParams:
    """The params, defaults where something is wrong or missing."""
    before = len(reader.problems)
    entries = reader.mapping(node, "params", _KEYS)
    default = Params()
    params = Params(
        epoch_time=_epoch(reader, entries.get("epoch_time")),
        period=reader.duration(entries.get("period"), "period", default.period),
        interval=reader.duration(entries.get("interval"), "interval", default.interval),
        granularity=reader.duration(entries.get("granularity"), "granularity", default.granularity),
        episodes=reader.integer(
            entries.get("episodes"), "episodes", default.episodes, 1, MAX_EPISODES
        ),
        interpolation=reader.flag(entries.get("interpolation"), "interpolation", default=True),
    )
    loggers = entries.get("training_loggers")
    if loggers is not None:
        message = "'params.training_loggers' is 'training.loggers' now: write it there."
        reader.old_syntax(loggers.place, message)
    good = all(problem.severity != "error" for problem in reader.problems[before:])
    return ReadParams(params, good, loggers)


def _epoch(reader: Reader, node: Node | None) -> int | None:
    if node is None:
        return None
    text = reader.text(node, "epoch_time")
    try:
        return parse_time(text)
    except InvalidRequest as error:
        reader.error("invalid_time", node.place, f"epoch_time: {error}")
        return None


def read_time_categories(reader: Reader, node: Node | None) -> tuple[str, ...]:
    """`time.categories`: parts of the date that are learned from."""
    entries = reader.mapping(node, "time", ("categories",))
    known = tuple(TIME_CATEGORIES)
    found: dict[str, None] = {}
    for item in reader.items(entries.get("categories"), "time.categories"):
        text = reader.text(item, "A time category")
        if text in found:
            reader.warning("duplicate_value", item.place, f"'{text}' is there twice.")
        elif text in known:
            found[text] = None
        elif isinstance(item, Scalar):
            message = f"There is no time category '{text}'."
            reader.unknown("unknown_time_category", "error", item, message, known)
    return tuple(found)
