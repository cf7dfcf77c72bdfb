"""How many examples hypothesis looks at."""

from __future__ import annotations

import os


def examples(count: int) -> int:
    """`count`, or the most that SPICE_EXAMPLES allows: a second Python looks at fewer."""
    return min(count, int(os.environ.get("SPICE_EXAMPLES") or count))
