"""Which servers can be called now: the one table the doors look into."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from spice_engine.protocol.servers import Door
from spice_engine.serving.calls import Endpoint
from spice_engine.serving.figures import Figures
from spice_runtime import wire

Answer = tuple[int, int, bytes, bytes]
"""HTTP status, answer codec of `spice_runtime.wire`, further header lines, body."""

CONTENT_TYPES = {
    wire.AS_JSON: "application/json",
    wire.AS_TEXT: "text/plain; charset=utf-8",
    wire.AS_BYTES: "application/octet-stream",
}
"""By answer codec, where the answer's own lines name none."""


@dataclass(slots=True)
class Served:
    """One server as the doors see it. `predictor` is what its replicas said they found.

    `health` asks the predictor of one ready replica (bounded, cached for a moment; 503 where
    none is ready), `metrics` gives the replicas' own metrics in Prometheus form, as last read.
    Where they are None, the server has none: it is healthy while its endpoint is ready.
    `replicas` are the figures of each ready replica, by its number as text.
    """

    name: str
    endpoint: Endpoint
    door: Door
    token: str
    version: int
    models: tuple[str, ...]
    figures: Figures
    wants_head: bool = False
    predictor: dict[str, Any] = field(default_factory=dict[str, Any])
    state: str = "running"
    health: Callable[[], Awaitable[Answer]] | None = None
    metrics: Callable[[], str] | None = None
    replicas: Callable[[], Sequence[tuple[str, Figures]]] | None = None


class Directory:
    """Servers by name. `owner` is the first part of Spell's path form."""

    def __init__(self, owner: str = "local") -> None:
        self.owner = owner
        self._served: dict[str, Served] = {}

    def __iter__(self) -> Iterator[Served]:
        return iter(list(self._served.values()))

    def get(self, name: str) -> Served | None:
        """The server of that name, None where there is none."""
        return self._served.get(name)

    def put(self, served: Served) -> None:
        """Add or replace a server."""
        self._served[served.name] = served

    def remove(self, name: str) -> None:
        """Take a server out; no error where it is not there."""
        self._served.pop(name, None)
