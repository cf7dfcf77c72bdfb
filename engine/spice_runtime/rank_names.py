"""What ranks call their metrics: rank 0 as they are, each other one below `rankN/`.

Scripts for several ranks send the same names from each of them; one series of all would jump
between the ranks. `SPICE_RANK_METRICS=together` has every rank send as its script says.
"""

from __future__ import annotations

from collections.abc import Mapping

VARIABLE, TOGETHER = "SPICE_RANK_METRICS", "together"


def prefix_of(rank: int) -> str:
    """What stands before the names of a rank's metrics."""
    return f"rank{rank}/" if rank else ""


def prefix_in(environment: Mapping[str, str]) -> str:
    """The same for a process with these variables, which torchrun and our launcher set."""
    rank, world = environment.get("RANK", ""), environment.get("WORLD_SIZE", "")
    # RANK alone may mean anything to a script.
    if not (rank.isdecimal() and world.isdecimal() and int(rank) < int(world)):
        return ""
    return "" if environment.get(VARIABLE) == TOGETHER else prefix_of(int(rank))
