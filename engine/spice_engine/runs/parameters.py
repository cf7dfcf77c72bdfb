"""The parameters of a run: `:NAME:` in its command stands for a value."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from spice_engine.errors import InvalidRequest

MOST_PARAMS = 1000
LONGEST_NAME = 200
MOST_BYTES = 64 * 1024
_NAME = re.compile(r"[^\s:=\"\\]+")


def check(params: Mapping[str, Any]) -> None:
    """Refuse what cannot be put into a command or stored.

    Raises:
        InvalidRequest: with the name.
    """
    if len(params) > MOST_PARAMS:
        raise InvalidRequest(f"more than {MOST_PARAMS} parameters.")
    size = 0
    for name, value in params.items():
        check_name(name)
        try:
            written = text(value)
            size += len(written.encode())
        except (TypeError, ValueError, RecursionError):
            raise InvalidRequest(f"parameter {name!r}: its value cannot be written.") from None
        if "\0" in written:
            raise InvalidRequest(f"parameter {name!r}: its value holds a null byte.")
    if size > MOST_BYTES:
        raise InvalidRequest(f"the parameters are over {MOST_BYTES} bytes.")


def check_name(name: str) -> None:
    """Refuse what cannot name a parameter.

    Raises:
        InvalidRequest: with what can.
    """
    if not _NAME.fullmatch(name) or not name.isprintable() or len(name) > LONGEST_NAME:
        raise InvalidRequest(
            f"{name[:40]!r} cannot be the name of a parameter.",
            hint=f"Up to {LONGEST_NAME} characters, without spaces, quotes, ':', '=' and '\\'.",
        )


def text(value: Any) -> str:
    """A value as it stands in a command: numbers with all their digits, lists as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return repr(value)
    return json.dumps(value)


def filled(command: Sequence[str], params: Mapping[str, Any]) -> tuple[str, ...]:
    """The command with each `:NAME:` replaced; what a value holds is not replaced again."""
    if not params:
        return tuple(command)
    names = "|".join(re.escape(name) for name in sorted(params, key=len, reverse=True))
    pattern = re.compile(f":({names}):")
    return tuple(pattern.sub(lambda found: text(params[found[1]]), word) for word in command)
