"""Who hears of every state of a run, once the store has it: searches, workflows, waiting runs."""

from __future__ import annotations

import logging
from collections.abc import Callable

from spice_engine.protocol.runs import RunInfo

log = logging.getLogger(__name__)

Listener = Callable[[RunInfo], None]


class Listeners:
    """Calls them in the order they came. They must not raise, nor take long: they run on the loop
    before the state's recorder goes on."""

    def __init__(self) -> None:
        self._all: list[Listener] = []

    def add(self, listener: Listener) -> Callable[[], None]:
        """Tell `listener` of all that comes; call what comes back to end that."""
        self._all.append(listener)

        def end() -> None:
            if listener in self._all:
                self._all.remove(listener)

        return end

    def tell(self, info: RunInfo) -> None:
        """Tell everyone of a state."""
        for listener in tuple(self._all):
            try:
                listener(info)
            except Exception:
                # A defect of ours in one of them must not keep a run from its end, nor the others.
                log.exception("run %s: one who listens failed at %s", info.id, info.state)
