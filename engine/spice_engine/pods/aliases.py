"""Names of a pod's policies: `latest`, `best`, `v3`, and those that people give."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any, cast

from spice_engine.errors import InvalidRequest, NotFound
from spice_engine.store import policies
from spice_engine.store.policies import PolicyRow

LATEST = "latest"
BEST = "best"
_ALIAS = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,63}")
_VERSION = re.compile(r"v?([1-9][0-9]{0,17})")


class AliasNotFound(NotFound):
    """No policy of the pod has that alias."""

    code = "tag_not_found"
    http_status = 400


def resolve(connection: sqlite3.Connection, pod: str, alias: str) -> PolicyRow:
    """The policy that `alias` names: one that was set, a version (`v3`, `3`), or `best`.

    Runs inside `Database.read` or `Database.write`.

    Raises:
        AliasNotFound: none.
    """
    row = policies.get_by_alias(connection, pod, alias)
    if row is None and (number := _VERSION.fullmatch(alias)):
        try:
            row = policies.get(connection, pod, int(number[1]))
        except NotFound:
            row = None
    if row is None and alias == BEST:
        row = best_of(policies.list_versions(connection, pod))
    if row is None:
        known = sorted(policies.aliases(connection, pod))
        raise AliasNotFound(
            f"pod {pod!r} has no version tagged {alias[:100]!r}.",
            hint=f"There are: {', '.join(known)}." if known else "Train the pod first.",
        )
    return row


def best_of(rows: Sequence[PolicyRow]) -> PolicyRow | None:
    """The one with the best held-out score against its own oracle; of equals the newest.

    Where an environment states none, the one that returned most in fresh episodes.

    None where no version was judged on held-out data. `rows` come newest first.
    """
    judged = [(row, score) for row in rows if (score := held_out(row)) is not None]
    if not judged:
        judged = [(row, score) for row in rows if (score := _returned(row)) is not None]
    return max(judged, key=lambda pair: pair[1])[0] if judged else None


def held_out(row: PolicyRow) -> float | None:
    """The share of the regret that the version closed on held-out data, None where unknown."""
    part = cast("object", row.evaluation.get("held_out"))
    if not isinstance(part, Mapping):
        return None
    score = cast("Mapping[str, Any]", part).get("regret_closed")
    return float(score) if isinstance(score, int | float) else None


def _returned(row: PolicyRow) -> float | None:
    """What the version returned in the episodes held out of a pod that acts in an environment."""
    part = cast("object", row.evaluation.get("held_out"))
    if not isinstance(part, Mapping) or "episodes" not in part:
        return None
    score = cast("Mapping[str, Any]", part).get("score")
    return float(score) if isinstance(score, int | float) else None


def check_alias(alias: str) -> None:
    """Refuse a name that cannot be given.

    Raises:
        InvalidRequest: it is no name, or looks like a version.
    """
    if not _ALIAS.fullmatch(alias) or _VERSION.fullmatch(alias):
        raise InvalidRequest(
            f"{alias[:100]!r} cannot name a version.",
            hint="A name begins with a letter, goes on with letters, digits, '.', '_' and '-', "
            "and does not look like v3.",
        )
