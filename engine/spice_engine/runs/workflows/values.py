"""Values of workflows: what `foreach` makes, what `:NAME:` stands for, and durations. Pure."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping

from spice_engine import units
from spice_engine.runs.workflows.model import FOREACH_MOST, Scalar, as_text


def expand(
    foreach: list[Scalar | dict[str, Scalar]] | dict[str, list[Scalar]],
) -> tuple[Mapping[str, Scalar], ...]:
    """What each instance has: the items of a list, or all combinations of a grid."""
    if isinstance(foreach, dict):
        return tuple(
            dict(zip(foreach, values, strict=True))
            for values in itertools.islice(itertools.product(*foreach.values()), FOREACH_MOST + 1)
        )
    return tuple(item if isinstance(item, dict) else {"item": item} for item in foreach)


def fill(text: str, params: Mapping[str, Scalar]) -> str:
    """The text with each `:NAME:` replaced by its value, where there is one."""
    if not params:
        return text
    names = "|".join(re.escape(name) for name in sorted(params, key=len, reverse=True))
    return re.sub(f":({names}):", lambda found: as_text(params[found[1]]), text)


def seconds_of(timeout: str | float) -> float:
    """Seconds of `90s` or `2h`; a bare number counts minutes.

    Raises:
        InvalidRequest: it is no duration.
    """
    if not isinstance(timeout, str):
        return 60.0 * timeout
    return units.parse_duration(timeout) / 1e9
