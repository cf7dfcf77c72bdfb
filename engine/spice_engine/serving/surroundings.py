"""What all replicas of all servers are started with."""

from __future__ import annotations

import asyncio

from spice_engine.records import record
from spice_engine.serving.node_groups import NodeGroups
from spice_engine.workers.placement import Placement


class Places:
    """How many processes may wait for replicas: of one server, and of all together."""

    def __init__(self, of_each: int, of_all: int) -> None:
        self.are_wanted = of_each > 0
        self.free = asyncio.Semaphore(of_all)


@record
class Surroundings:
    """Where replicas run, what they take room from, and the places of those ahead of them."""

    placement: Placement
    groups: NodeGroups
    ahead: Places
