"""What tracking clients may name things, and how much they may say; MLflow's own rules and limits.

See `mlflow.utils.validation` of the client. Values over a limit are refused, not cut short.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Mapping

from spice_engine.errors import InvalidRequest
from spice_engine.runs.requests import LONGEST_NAME
from spice_engine.runs.tracking_points import Sent
from spice_engine.store.metrics import LARGEST_INDEX

MOST_NAME = 250
MOST_PARAM = 6000
MOST_TAG = 20_000
MOST_PARAMS_BYTES = 2**19
"""Of all parameters of a run together: they are told to everybody who looks at runs."""

_NAME = re.compile(r"[/\w.\- :]+")


def check_name(name: str, what: str) -> None:
    """The name of a parameter, a metric or a tag.

    Raises:
        InvalidRequest: it cannot be one.
    """
    if not name or len(name) > MOST_NAME or not _NAME.fullmatch(name):
        raise InvalidRequest(
            f"Invalid {what} name: {name[:100]!r}.",
            hint=f"1 to {MOST_NAME} letters, digits, spaces and / _ . - :",
        )
    tidy = posixpath.normpath(name)
    if tidy != name or name.startswith(("..", "/")) or name == ".":
        raise InvalidRequest(
            f"Invalid {what} name: {name[:100]!r} would be {tidy[:100]!r} as the path of a file."
        )


def check_value(name: str, value: str, most: int, what: str) -> None:
    """The value of a parameter or a tag.

    Raises:
        InvalidRequest: it is too long, or cannot be kept.
    """
    if len(value) > most:
        raise InvalidRequest(
            f"{what} {name[:100]!r} has {len(value)} characters; the limit is {most}.",
            hint="Log it as an artifact.",
        )
    if "\0" in value:
        raise InvalidRequest(f"{what} {name[:100]!r} holds a null character.")


def check_run_name(name: str) -> None:
    """The name of a run.

    Raises:
        InvalidRequest: it cannot be one.
    """
    if len(name) > LONGEST_NAME or not name.isprintable():
        raise InvalidRequest(
            f"Invalid run name: {name[:100]!r}",
            hint=f"Printable text of at most {LONGEST_NAME} characters.",
        )


def check_params(params: Mapping[str, str]) -> None:
    """New parameters of a run.

    Raises:
        InvalidRequest: one cannot be kept.
    """
    for name, value in params.items():
        check_name(name, "param")
        check_value(name, value, MOST_PARAM, "param")


def check_tags(tags: Mapping[str, str]) -> None:
    """New tags of a run or an experiment.

    Raises:
        InvalidRequest: one cannot be kept.
    """
    for name, value in tags.items():
        check_name(name, "tag")
        check_value(name, value, MOST_TAG, "tag")


def check_points(points: Iterable[Sent]) -> None:
    """New points of metrics.

    Raises:
        InvalidRequest: one cannot be kept.
    """
    for point in points:
        check_name(point.name, "metric")
        if abs(point.step) > LARGEST_INDEX:  # below 0 as well: clients count from where they like
            raise InvalidRequest(
                f"metric {point.name!r}: its step {point.step} is not in -2^53 .. 2^53."
            )
        if not 0 <= point.moment < 2**48:
            raise InvalidRequest(
                f"metric {point.name!r}: its timestamp {point.moment} is no time in milliseconds."
            )
