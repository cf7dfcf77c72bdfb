"""A server, its rollout and its autoscaler in words; and the command that asks it."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from spice_tui.models.cells import cell_of, short_number
from spice_tui.models.details import lines
from spice_tui.models.moments import ago, moment
from spice_tui.models.server_rows import first_line, made_of

if TYPE_CHECKING:
    from spice_engine.protocol.servers import (
        RolloutInfo,
        ScaleDecision,
        ServerDetails,
        ServerInfo,
        ServerVersionInfo,
    )

BAR = 20
"""Cells of a rollout's bar."""


def about(info: ServerInfo, now: float) -> str:
    """A server, for the pane beside the list."""
    return lines(
        (
            ("server", info.name),
            ("state", info.state),
            ("message", first_line(info.message)),
            ("serves", made_of(info)),
            ("type", info.type),
            ("version", info.version),
            ("pods", f"{info.pods_ready} of {info.pods_wanted} ready"),
            ("runs since", _when(info.running_since, now)),
            ("made", _when(info.created, now)),
            ("rollout", rollout(info.rollout) if info.rollout else ""),
            ("scaling", decision(info.scaling, now) if info.scaling else ""),
            ("ask", f"POST {info.url}"),
        )
    )


def heading(info: ServerInfo, details: ServerDetails | None, now: float) -> str:
    """The lines above a server's replicas: how it does, its rollout, its autoscaler."""
    definition = details.definition if details is not None else None
    bounds = ""
    if definition is not None:
        bounds = f", {definition.scaling.min_pods} to {definition.scaling.max_pods} allowed"
    found = [
        f"{info.state}, version {info.version}, {info.pods_ready} of {info.pods_wanted} pods"
        f"{bounds}",
        f"POST {info.url}",
    ]
    if info.message:
        found.append(first_line(info.message))
    elif made_of(info):
        found.append(f"serves {made_of(info)}")
    if info.rollout is not None:
        found.append(f"rollout: {rollout(info.rollout)}")
    if info.scaling is not None:
        found.append(f"scaling: {decision(info.scaling, now)}")
    else:
        found.append("scaling: not changed yet")
    return "\n".join(found)


def rollout(one: RolloutInfo) -> str:
    """A rollout in a line; one under way with how far it is."""
    way = f"version {one.to_version}"
    if one.from_version is not None:
        way = f"version {one.from_version} to {one.to_version}"
    if one.state == "running":
        share = min(1.0, one.ready / one.wanted) if one.wanted else 0.0
        done = round(BAR * share)
        return f"{way} [{'#' * done}{'-' * (BAR - done)}] {one.ready} of {one.wanted} pods ready"
    took = ""
    if one.ended is not None:
        took = f" in {cell_of('duration', max(0.0, one.ended - one.started)).text}"
    why = f": {first_line(one.message)}" if one.message else ""
    return f"{way} {one.state}{took}{why}"


def decision(one: ScaleDecision, now: float) -> str:
    """The autoscaler's decision with what it was taken from."""
    inputs = ", ".join(
        f"{name.replace('_', ' ')} {short_number(round(value, 4))}"
        for name, value in sorted(one.inputs.items())
    )
    said = f"{one.before} to {one.after} pods {ago(one.time, now)}: {one.reason}"
    return f"{said} ({inputs})" if inputs else said


def of_version(one: ServerVersionInfo) -> str:
    """Everything that differs from version to version."""
    definition = one.definition
    return lines(
        (
            ("version", one.number),
            ("state", one.state),
            ("made", moment(one.created)),
            ("message", one.message),
            ("models", " ".join(definition.models)),
            ("entrypoint", definition.entrypoint),
            ("type", definition.type),
            ("config", definition.config),
            ("pods", f"{definition.scaling.min_pods} to {definition.scaling.max_pods}"),
            ("batching", _batching(one) if definition.batching.enabled else "off"),
            ("packages", " ".join(definition.dependencies.pip)),
            ("code", one.code[:12]),
            ("description", definition.description),
        )
    )


def _batching(one: ServerVersionInfo) -> str:
    batching = one.definition.batching
    return f"up to {batching.max_size}, {batching.wait_ms:g} ms"


def curl(url: str, payload: str, *, token: bool) -> str:
    """The command that sends a payload; a token it takes from the environment, never from here."""
    parts = ["curl", shlex.quote(url), "-H", "'Content-Type: application/json'"]
    if token:
        parts += ["-H", '"Authorization: Bearer $TOKEN"']
    return " ".join([*parts, "-d", shlex.quote(payload)])


def _when(time: float | None, now: float) -> str:
    return f"{moment(time)} ({ago(time, now)})" if time else ""
