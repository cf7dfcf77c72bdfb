"""Servers as they cross the doors."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from typing import Protocol

from spice_engine.protocol.servers import (
    ReplicaInfo,
    RolloutInfo,
    ScaleDecision,
    ServerDefinition,
    ServerInfo,
    ServerVersionInfo,
)
from spice_engine.records import record
from spice_engine.serving import definitions
from spice_engine.serving.figures import Figures
from spice_engine.serving.replicas import Replica
from spice_engine.store.replicas import DecisionRow
from spice_engine.store.servers import ServerRow, VersionRow


@record
class Usage:
    """What a replica's processes use: cores over the last seconds, bytes."""

    cpu: float = 0.0
    memory: int = 0


class Shown(Protocol):
    """What is shown of a server: a deployment, or a pod's policy that is served."""

    row: ServerRow
    definition: ServerDefinition
    decision: ScaleDecision | None

    @property
    def rollout(self) -> RolloutInfo | None:
        """The rollout under way, or the last one."""
        ...

    @property
    def usage(self) -> Mapping[int, Usage]:
        """What each replica uses, by its number."""
        ...

    @property
    def figures(self) -> Figures:
        """What it did."""
        ...

    @property
    def pods(self) -> tuple[int, int]:
        """How many replicas are ready, and how many are wanted."""
        ...

    @property
    def replica_list(self) -> list[Replica]:
        """Its replicas, by number."""
        ...


def info_of(shown: Shown, url: str) -> ServerInfo:
    """One server; `url` is where it is called."""
    now = time.monotonic()
    row, definition = shown.row, shown.definition
    figures = shown.figures.recent(now)
    ready, wanted = shown.pods
    return ServerInfo(
        name=row.name,
        state=row.state,
        message=row.message,
        version=row.version,
        models=list(definition.models),
        type=definition.type,
        entrypoint=definition.entrypoint,
        url=url,
        pods_ready=ready,
        pods_wanted=wanted,
        created=row.created,
        updated=row.updated,
        running_since=row.running_since,
        rate=round(figures.rate, 3),
        errors=round(figures.errors, 3),
        p50=_rounded(figures.p50),
        p99=_rounded(figures.p99),
        queued=figures.queued,
        replicas=[replica_info(one, shown.usage) for one in shown.replica_list],
        rollout=shown.rollout,
        scaling=shown.decision,
    )


def replica_info(replica: Replica, usage: Mapping[int, Usage]) -> ReplicaInfo:
    """One replica that is not over."""
    used = usage.get(replica.number, Usage())
    link = replica.link
    base = ReplicaInfo(
        number=replica.number,
        version=replica.spec.version,
        state=replica.state,
        created=replica.created,
        ready=replica.ready_at,
        pid=replica.pid,
        message=replica.message,
        restarts=replica.restarts,
        cpu=round(used.cpu, 3),
        memory=used.memory,
    )
    if link is None or replica.ready_at is None:
        return base
    figures = link.figures.recent(time.monotonic())
    return dataclasses.replace(
        base,
        in_flight=figures.in_flight,
        rate=round(figures.rate, 3),
        p50=_rounded(figures.p50),
        p99=_rounded(figures.p99),
        model_path=str(link.predictor.get("model_path", "")),
    )


def version_info(row: VersionRow) -> ServerVersionInfo:
    """One version of a server."""
    return ServerVersionInfo(
        number=row.number,
        created=row.created,
        code=row.code,
        state=row.state,
        message=row.message,
        definition=definitions.from_plain(row.definition),
    )


def decision_of(row: DecisionRow) -> ScaleDecision:
    """A stored decision."""
    return ScaleDecision(row.time, row.before, row.after, row.reason, dict(row.inputs))


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
