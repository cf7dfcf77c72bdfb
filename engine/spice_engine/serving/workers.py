"""What dies together (a worker process) and what leaves together (a batch)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spice_engine.serving.calls import Call
    from spice_engine.serving.lanes import Lane
    from spice_engine.serving.link import ReplicaLink


class Worker:
    """One process of a replica: what dies together. `reserved`: kept for one suspicious call."""

    __slots__ = ("began", "lanes", "link", "pid", "reserved")

    def __init__(self, link: ReplicaLink, pid: int) -> None:
        self.link = link
        self.pid = pid
        self.lanes: list[Lane] = []
        self.reserved = False
        self.began = 0.0

    def outstanding(self) -> int:
        """Calls that its lanes hold."""
        return sum(len(lane.calls) for lane in self.lanes)

    def wanted(self) -> list[Call]:
        """Those of them that somebody waits for."""
        return [call for lane in self.lanes for call in lane.calls.values() if not call.done]


class Batch:
    """Calls that left in one frame; `left` of them are not answered."""

    __slots__ = ("ident", "left")

    def __init__(self, ident: int, left: int) -> None:
        self.ident = ident
        self.left = left
