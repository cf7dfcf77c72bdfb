"""Plain data to YAML text, in block or in flow style, for the pieces that edits insert."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import cast

from spice_engine.yaml_tree import resolve

Data = str | int | float | bool | None | Sequence["Data"] | Mapping[str, "Data"]
"""What can be written. A text of several lines becomes a block scalar."""

_PLAIN = re.compile(r"[A-Za-z0-9_/.][A-Za-z0-9_/.<>=+*()\"'%$ -]*", re.ASCII)
_OLD_WORDS = frozenset(["y", "n", "yes", "no", "on", "off", "true", "false", "null"])
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def scalar(value: str | float | bool | None) -> str:
    """A single value in one line; text is quoted where it would read as anything else."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str):
        return repr(value)
    plain = (
        _PLAIN.fullmatch(value)
        and value == value.strip()
        and isinstance(resolve(value), str)
        and value.lower() not in _OLD_WORDS  # to YAML 1.1 these are no text
        and not re.fullmatch(r"[-+.]*[0-9][0-9_.:eE+-]*", value)  # nor are dates and 12:30
        and not value.startswith(("---", "..."))
    )
    return value if plain else f'"{"".join(_escaped(one) for one in value)}"'


def _escaped(one: str) -> str:
    if one in _ESCAPES:
        return _ESCAPES[one]
    if one.isprintable():
        return one
    code = ord(one)
    return (
        f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"
    )


def flow(value: Data, pad: str = "") -> str:
    """Everything in one line: `{name: a, values: [1, 2]}`; `pad` goes inside of the braces."""
    if isinstance(value, Mapping):
        parts = [f"{scalar(key)}: {flow(inner, pad)}" for key, inner in value.items()]
        return f"{{{pad}{', '.join(parts)}{pad}}}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"[{', '.join(flow(inner, pad) for inner in value)}]"
    return scalar(value)


def block(value: Data, offset: int = 2) -> list[str]:
    """The lines of a mapping or list; `offset` is how far lists are set in under their key."""
    if isinstance(value, Mapping):
        lines: list[str] = []
        for key, inner in value.items():
            lines += _entry(scalar(key), inner, offset)
        return lines
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [line for item in value for line in list_item(item, offset)]
    return [scalar(value)]


def list_item(item: Data, offset: int = 2) -> list[str]:
    """The lines of one item of a block list, with its dash."""
    first, *rest = block(item, offset) if item else [flow(item)]
    return [f"- {first}", *(_indented(line, 2) for line in rest)]


def _entry(key: str, value: Data, offset: int) -> list[str]:
    if isinstance(value, str) and "\n" in value.strip("\n"):
        return [f"{key}: |", *(_indented(line, 2) for line in value.strip("\n").split("\n"))]
    if isinstance(value, str) or not isinstance(value, Sequence | Mapping):
        return [f"{key}: {scalar(value)}"]
    if not value:
        return [f"{key}: {flow(cast('Data', value))}"]
    shift = 2 if isinstance(value, Mapping) else offset
    return [f"{key}:", *(_indented(line, shift) for line in block(cast("Data", value), offset))]


def _indented(line: str, by: int) -> str:
    return " " * by + line if line else ""
