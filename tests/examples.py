"""How many examples hypothesis looks at."""

from __future__ import annotations

import os

MOST_IN_CI = 50


def examples(count: int, *, in_ci: int = MOST_IN_CI) -> int:
    """`count`; `in_ci` at most where CI is set, and no more than SPICE_EXAMPLES says.

    In CI the examples are the same each time, so that more of them find nothing new there.
    """
    most = min(count, in_ci) if os.environ.get("CI") else count
    return min(most, int(os.environ.get("SPICE_EXAMPLES") or most))
