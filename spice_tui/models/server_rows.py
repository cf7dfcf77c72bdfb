"""Servers, their replicas and versions, and what else answers over HTTP, as rows of tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from spice_tui.models.columns import Column, Row

if TYPE_CHECKING:
    from spice_engine.protocol.pods import FeedInfo
    from spice_engine.protocol.servers import ReplicaInfo, ServerInfo, ServerVersionInfo
    from spice_tui.models.world import World

SERVERS = (
    Column("name", "name", least=12, most=40, weight=1, importance=9),
    Column("state", "state", "state", least=9, most=11, importance=9),
    Column("pods", "pods", least=4, most=7, align="right", importance=8),
    Column("rps", "rps", "number", least=5, most=8, importance=7),
    Column("p50", "p50 ms", "number", least=6, most=8, importance=5),
    Column("p99", "p99 ms", "number", least=6, most=8, importance=6),
    Column("errors", "err/s", "number", least=5, most=7, importance=7),
    Column("queue", "queue", "number", least=5, most=7, importance=5),
    Column("version", "version", "number", least=7, most=7, importance=6),
    Column("age", "age", "time", least=8, most=9, importance=4),
    Column("kind", "kind", least=12, most=12, importance=3),
    Column("detail", "detail", least=15, most=60, weight=2, importance=2),
)
ENDPOINTS = (
    Column("state", "", "state", least=1, most=1),
    Column("name", "endpoint", least=8, most=30, weight=1, importance=9),
    Column("version", "v", "number", least=4, most=4, importance=7),
    Column("detail", "", least=15, most=15, importance=3),
)
"""What answers, in a narrow pane, while there are no servers."""
ANSWERING = (
    Column("state", "", "state", least=1, most=1),
    Column("name", "pod", least=8, most=30, weight=1, importance=9),
    Column("rps", "rps", "number", least=5, most=8, importance=8),
    Column("p99", "p99 ms", "number", least=6, most=8, importance=7),
)
"""Replicas of servers, in a narrow pane."""
REPLICAS = (
    Column("number", "pod", "number", least=3, most=6, importance=9),
    Column("state", "state", "state", least=9, most=10, importance=9),
    Column("version", "v", "number", least=2, most=5, importance=7),
    Column("rps", "rps", "number", least=5, most=8, importance=8),
    Column("p50", "p50 ms", "number", least=6, most=8, importance=5),
    Column("p99", "p99 ms", "number", least=6, most=8, importance=7),
    Column("cpu", "cpu", "number", least=5, most=6, importance=6),
    Column("memory", "memory", "bytes", least=6, most=9, importance=6),
    Column("restarts", "restarts", "number", least=8, most=8, importance=5),
    Column("message", "message", least=8, most=80, weight=1, importance=4),
)
VERSIONS = (
    Column("number", "version", "number", least=4, most=7, importance=9),
    Column("state", "state", "state", least=8, most=11, importance=8),
    Column("created", "made", "time", least=7, most=9, importance=7),
    Column("what", "what", least=8, most=60, weight=1, importance=6),
    Column("message", "message", least=8, most=80, weight=2, importance=4),
)


def server_rows(world: World) -> list[Row]:
    """One row a server, by name; its key is `server/NAME`."""
    return [_server(world.servers[name]) for name in sorted(world.servers)]


def _server(info: ServerInfo) -> Row:
    return Row(
        f"server/{info.name}",
        {
            "name": info.name,
            "state": info.state,
            "pods": f"{info.pods_ready}/{info.pods_wanted}",
            "rps": _short(info.rate),
            "p50": _short(info.p50),
            "p99": _short(info.p99),
            "errors": _short(info.errors),
            "queue": info.queued,
            "version": info.version,
            "age": info.created,
            "kind": "server",
            "detail": first_line(info.message) or made_of(info),
        },
    )


def made_of(info: ServerInfo) -> str:
    """What a server serves, in few words."""
    return " ".join([*info.models, info.entrypoint]).strip()


def endpoint_rows(world: World, feeds: Mapping[str, Iterable[FeedInfo]] | None = None) -> list[Row]:
    """What else answers: one row a trained pod, and below it its live feeds.

    Keys are `pod/NAME` and `feed/POD/DATASPACE/ROLE`.
    """
    rows: list[Row] = []
    for name in sorted(world.pods):
        pod = world.pods[name]
        answers = pod.policy_version is not None
        rows.append(
            Row(
                f"pod/{name}",
                {
                    "state": "running" if answers else "waiting",
                    "name": name,
                    "version": pod.policy_version,
                    "kind": "pod endpoint",
                    "detail": "recommendations" if answers else f"no policy yet ({pod.state})",
                },
            )
        )
        rows.extend(
            Row(
                f"feed/{name}/{feed.dataspace}/{feed.role}",
                {
                    "state": feed.state,
                    "name": f"  {feed.dataspace}",
                    "queue": None,
                    "kind": "feed",
                    "detail": feed.last_error or f"{feed.connector} feed, {feed.rows:,} rows",
                },
            )
            for feed in (feeds or {}).get(name, ())
        )
    return rows


def answering_rows(world: World) -> list[Row]:
    """Replicas of all servers, and the endpoints of pods: what answers now, in a narrow pane."""
    rows: list[Row] = []
    for name in sorted(world.servers):
        info = world.servers[name]
        rows.extend(
            Row(
                f"server/{name}/{one.number}",
                {
                    "state": one.state,
                    "name": f"{name} {one.number}",
                    "rps": _short(one.rate),
                    "p99": _short(one.p99),
                    "version": one.version,
                },
            )
            for one in info.replicas
        )
        if not info.replicas:
            rows.append(Row(f"server/{name}", {"state": info.state, "name": name}))
    return [*rows, *endpoint_rows(world)]


def replica_rows(replicas: Iterable[ReplicaInfo]) -> list[Row]:
    """One row a replica, by number."""
    return [
        Row(
            str(one.number),
            {
                "number": one.number,
                "state": one.state,
                "version": one.version,
                "rps": _short(one.rate),
                "p50": _short(one.p50),
                "p99": _short(one.p99),
                "cpu": _short(one.cpu),
                "memory": one.memory or None,
                "restarts": one.restarts,
                "message": first_line(one.message),
            },
        )
        for one in sorted(replicas, key=lambda one: one.number)
    ]


def version_rows(versions: Iterable[ServerVersionInfo], serving: int) -> list[Row]:
    """One row a version, newest first; the one that serves says so."""
    return [
        Row(
            str(one.number),
            {
                "number": one.number,
                "state": "serving" if one.number == serving else one.state,
                "created": one.created,
                "what": " ".join([*one.definition.models, one.definition.entrypoint]).strip(),
                "message": first_line(one.message),
            },
        )
        for one in versions
    ]


def _short(value: float | None) -> float | None:
    """A figure with what counts of it: a cell has room for no more."""
    return value if value is None else round(value, 2)


def first_line(message: str) -> str:
    """What a message of several lines says: of a traceback its last line, else the first."""
    lines = [line for line in message.splitlines() if line.strip()]
    if not lines:
        return ""
    return lines[-1].strip() if lines[0].startswith("Traceback") else lines[0].strip()
