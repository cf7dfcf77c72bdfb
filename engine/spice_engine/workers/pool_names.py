"""Names of this machine's pools: node groups and machine types."""

from __future__ import annotations

from spice_engine.errors import InvalidRequest

_LONGEST = 63


def check_pool_name(name: str) -> None:
    """Refuse what is no name of a pool.

    Raises:
        InvalidRequest: it has other signs than ASCII letters, digits and '-', or too many.
    """
    if not name.replace("-", "").isalnum() or not name.isascii() or len(name) > _LONGEST:
        raise InvalidRequest(f"{name[:80]!r}: a name has letters, digits and '-'.")
