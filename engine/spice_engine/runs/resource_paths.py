"""Paths of the resource tree as text: their parts, references such as `@latest`, names, aliases.

Reads nothing: what a path leads to is found by `spice_engine.runs.resources`.
"""

from __future__ import annotations

import re

from spice_engine.errors import InvalidRequest
from spice_engine.records import record

ROOTS = ("runs", "uploads", "models", "public")
RESERVED = frozenset(ROOTS)
"""What no link may be called."""

LONGEST_PATH = 4096
LONGEST_NAME = 200
FORBIDDEN_IN_ALIAS = '/."\\[]:;|=,'
_LOW_IS_BEST = re.compile(
    r"loss|err|(^|[_/])(r?m[sa]e|mape|nll|bce|wer|cer|fid|regret|perplexity|latency|time)([_/]|$)",
    re.IGNORECASE,
)


@record
class Reference:
    """`@latest`, the newest with a label, or the best by a metric's last value; `smallest`: the
    lowest is the best."""

    metric: str = ""
    smallest: bool = False
    label: str = ""


def parse(text: str) -> tuple[str, ...]:
    """The names along a path; empty for the root. A trailing slash and `.` mean nothing.

    Raises:
        InvalidRequest: it is absolute, leads out of the tree, or holds what no name can.
    """
    if len(text) > LONGEST_PATH or not _is_plain(text):
        raise InvalidRequest(f"{text[:100]!r} is no path of a resource.")
    if text.startswith("/"):
        raise InvalidRequest(
            f"{text[:200]!r} is no resource: their paths do not begin with a slash.",
            hint="Such as: runs/3, uploads/images, models/cifar/v1.",
        )
    names = tuple(name for name in text.split("/") if name not in {"", "."})
    if ".." in names:
        raise InvalidRequest(
            f"{text[:200]!r} is no resource: '..' leads nowhere.", hint="Name the whole path."
        )
    if names and names[0].startswith("@"):
        return ("runs", *names)
    return names


def reference(text: str) -> Reference | None:
    """What `@latest`, `@label:NAME` or `@best:METRIC[:min|:max]` stands for; None where it is no
    reference.

    Without `:min` or `:max` a metric that counts losses or errors is best where it is lowest.

    Raises:
        InvalidRequest: it begins with `@` and is none of them.
    """
    if not text.startswith("@"):
        return None
    word, colon, metric = text[1:].partition(":")
    if word == "latest" and not colon:
        return Reference()
    if word == "label" and metric:
        return Reference(label=metric)
    if word == "best" and metric:
        name, _, direction = metric.rpartition(":")
        if name and direction in {"min", "max"}:
            return Reference(name, smallest=direction == "min")
        return Reference(metric, smallest=is_lowest_best(metric))
    raise InvalidRequest(
        f"{text[:100]!r} refers to nothing.",
        hint="Such as: @latest, @label:good, @best:accuracy, @best:x:min.",
    )


def is_lowest_best(metric: str) -> bool:
    """Whether a metric counts losses, errors or time, by its name."""
    return _LOW_IS_BEST.search(metric) is not None


def run_number(text: str) -> int | None:
    """The run that `42` names, or None."""
    if text.isascii() and text.isdecimal() and len(text) <= 18 and int(text) > 0:
        return int(text)
    return None


def check_upload_name(name: str) -> None:
    """Refuse a name that cannot be a part of a path.

    Raises:
        InvalidRequest: with the reason.
    """
    if (
        not _is_plain(name)
        or not name.isprintable()
        or name in {"", ".", ".."}
        or len(name.encode()) > LONGEST_NAME
        or any(character in name for character in "/\\:")
        or name[0] in "@-"
        or name != name.strip()
    ):
        raise InvalidRequest(
            f"{name[:100]!r} cannot name an upload.",
            hint=f"Up to {LONGEST_NAME} characters, without / \\ : and not beginning with @ or -.",
        )


def check_alias(alias: str) -> None:
    """Refuse what cannot name a link.

    Raises:
        InvalidRequest: with the reason.
    """
    bad = sorted({character for character in alias if character in FORBIDDEN_IN_ALIAS})
    if bad:
        raise InvalidRequest(
            f"{alias[:100]!r} cannot name a link: it holds {' and '.join(map(repr, bad))}.",
            hint=f"These are not allowed: {' '.join(FORBIDDEN_IN_ALIAS)}",
        )
    if alias in RESERVED:
        raise InvalidRequest(
            f"{alias!r} cannot name a link: it is a part of the resource tree.",
            hint="Give another name.",
        )
    if (
        not _is_plain(alias)
        or not alias.isprintable()
        or not alias
        or any(character.isspace() for character in alias)
        or len(alias.encode()) > LONGEST_NAME
        or alias[0] in "@-~"
    ):
        raise InvalidRequest(
            f"{alias[:100]!r} cannot name a link.",
            hint=f"Up to {LONGEST_NAME} characters without spaces, not beginning with @, - or ~.",
        )


def _is_plain(text: str) -> bool:
    """Whether it is text that can be stored and sent: no null byte, no lone surrogate."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text
