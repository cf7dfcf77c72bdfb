"""What a population of tables takes of a device's memory, before anything is launched."""

from __future__ import annotations

from typing import Protocol

from spice_engine.errors import TooLarge
from spice_engine.records import record

SHARE = 0.8
"""Of a device's free memory: the rest is for what compiled code and its context take."""
_NUMBER = 4
_WORDS = 4
"""Numbers for each member beside its table: random word, rate, discount, trace."""


@record
class Size:
    """A population's shape: cells of a table, actions, and what its course through time has.

    `steps` with `tilings` codes and the rewards of all actions each; `passes` and `history` count
    numbers for each member: chances of exploring, and traces.
    """

    cells: int
    actions: int
    steps: int
    tilings: int
    passes: int
    history: int

    @property
    def member(self) -> int:
        """Bytes that one member takes."""
        table = self.cells * self.actions
        return _NUMBER * (table + _WORDS + self.passes + 2 * self.history)

    @property
    def shared(self) -> int:
        """Bytes that all members share."""
        return _NUMBER * ((self.steps + 1) * self.tilings + self.steps * self.actions)

    def bytes(self, members: int) -> int:
        """Bytes that so many members take."""
        return self.shared + members * self.member


class Takes(Protocol):
    """What any population says: its shape, and bytes as `Size` has them."""

    @property
    def cells(self) -> int: ...

    @property
    def actions(self) -> int: ...

    @property
    def member(self) -> int: ...

    @property
    def shared(self) -> int: ...

    def bytes(self, members: int) -> int: ...


def fitting(size: Takes, members: int, free: int, together: int) -> int:
    """How many of the members fit in `free` bytes at once: all, or a multiple of `together`.

    Raises TooLarge where not even `together` do.
    """
    room = int(free * SHARE) - size.shared
    most = room // size.member
    if most >= members:
        return members
    if most < together:
        raise TooLarge(
            f"{together} tables of {size.cells} cells and {size.actions} actions take "
            f"{size.bytes(together) / 2**20:.0f} MiB, the device has {free / 2**20:.0f} MiB free.",
            hint="Ask for fewer bins, features or tilings.",
        )
    return most // together * together
