"""Models, their versions and resources as rows of tables, and in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from spice_engine.units import format_size
from spice_tui.models.columns import Column, Row
from spice_tui.models.details import lines
from spice_tui.models.moments import moment
from spice_tui.models.rows import run_state

if TYPE_CHECKING:
    from spice_engine.protocol.models import ModelInfo, ModelVersionInfo
    from spice_engine.protocol.resources import ResourceInfo
    from spice_engine.protocol.runs import RunInfo
    from spice_engine.protocol.views import LineageNode
    from spice_tui.models.world import World

MODELS = (
    Column("name", "name", least=8, most=40, weight=1, importance=9),
    Column("kind", "kind", least=6, most=7, importance=6),
    Column("latest", "latest", least=6, most=24, importance=8),
    Column("versions", "versions", "number", least=4, most=8, importance=5),
    Column("created", "created", "time", least=8, most=12, importance=7),
    Column("from", "from", least=8, most=40, weight=1, importance=6),
    Column("servers", "served by", least=9, most=40, weight=1, importance=7),
)
VERSIONS = (
    Column("number", "version", least=7, most=7, importance=9),
    Column("name", "name", least=4, most=20, importance=7),
    Column("aliases", "aliases", least=7, most=24, importance=8),
    Column("size", "size", "bytes", least=6, most=9, importance=5),
    Column("created", "created", "time", least=8, most=12, importance=7),
    Column("from", "from", least=8, most=40, weight=1, importance=6),
    Column("servers", "served by", least=9, most=30, importance=6),
)
RESOURCES = (
    Column("title", "name", weight=1, least=12, most=80, importance=9),
    Column("kind", "kind", least=6, most=10, importance=8),
    Column("state", "state", "state", least=8, most=14, importance=6, optional=True),
    Column("size", "size", "bytes", least=6, most=9, importance=6),
    Column("modified", "changed", "time", least=8, most=12, importance=5),
    Column("detail", "detail", weight=1, least=8, most=60, importance=4),
)


def model_rows(world: World) -> list[Row]:
    """One row a model, by name; policies of pods that no list of models has told of, too."""
    told = [_model(one) for one in world.models.values()]
    rest = [
        Row(
            pod.name,
            {
                "name": pod.name,
                "kind": "policy",
                "latest": f"v{pod.policy_version}",
                "from": f"pod {pod.name}",
            },
        )
        for pod in world.pods.values()
        if pod.policy_version is not None and pod.name not in world.models
    ]
    return sorted([*told, *rest], key=lambda row: row.key)


def _model(one: ModelInfo) -> Row:
    return Row(
        one.name,
        {
            "name": one.name,
            "kind": one.kind,
            "latest": one.latest.label,
            "versions": one.versions,
            "created": one.created,
            "from": made_from(one.latest),
            "servers": " ".join(one.latest.servers),
        },
    )


def made_from(one: ModelVersionInfo) -> str:
    """What a version came from: a run, a pod, or a resource."""
    if one.run is not None:
        return f"run {one.run}"
    return f"pod {one.pod}" if one.pod else one.resource


def version_rows(versions: Iterable[ModelVersionInfo]) -> list[Row]:
    """One row a version, newest first."""
    return [
        Row(
            str(one.number),
            {
                "number": f"v{one.number}",
                "name": one.version,
                "aliases": " ".join(f"@{alias}" for alias in one.aliases),
                "size": one.size or None,
                "created": one.created,
                "from": made_from(one),
                "servers": " ".join(one.servers),
            },
        )
        for one in versions
    ]


def about_version(one: ModelVersionInfo) -> str:
    """Everything about a version."""
    text = lines(
        (
            ("model", one.model),
            ("version", one.label),
            ("aliases", ", ".join(f"@{alias}" for alias in one.aliases)),
            ("made", moment(one.created)),
            ("by", one.creator),
            ("of", one.resource),
            ("run", one.run),
            ("pod", f"{one.pod}, policy {one.policy_version}" if one.pod else ""),
            ("size", format_size(one.size) if one.size else ""),
            ("object", one.object[:12]),
            ("served by", ", ".join(one.servers)),
        )
    )
    if one.files:
        text += "\n\nfiles\n  " + "\n  ".join(one.files)
    if one.description:
        text += f"\n\n{one.description}"
    return text


# -- resources


def resource_rows(
    entries: Iterable[ResourceInfo], runs: Mapping[int, RunInfo] | None = None
) -> list[Row]:
    """One row an entry of the tree; its key is `path/PATH`. Of `runs` it is told how they stand."""
    runs = runs or {}
    return [
        Row(
            f"path/{one.path}",
            {
                "title": leaf(one.path) + ("/" if one.kind == "folder" else ""),
                "kind": one.kind,
                "state": run_state(run) if run is not None else None,
                "size": one.size,
                "modified": one.modified,
                "detail": _detail(one, run),
            },
        )
        for one in entries
        for run in [runs.get(run_of(one.path) or 0) if one.path.count("/") == 1 else None]
    ]


def _detail(one: ResourceInfo, run: RunInfo | None) -> str:
    if one.link_target:
        return f"→ {one.link_target}"
    return one.info if run is None else run.name or " ".join(run.command)


IN_TREE = frozenset({"run", "training", "model"})
"""Kinds of things in a lineage that the tree, or a view of its own, has."""
_ROOTS = ("data/runs/", "data/uploads/", "data/models/")


def lineage_rows(nodes: Iterable[LineageNode]) -> list[Row]:
    """One row a thing of the lineage that the tree has not; its key is `node/ID`."""
    return [
        Row(
            f"node/{node.id}",
            {
                "title": node.title,
                "kind": node.kind,
                "state": node.state or None,
                "detail": node.detail,
            },
        )
        for node in nodes
        if node.kind not in IN_TREE and not node.id.startswith(_ROOTS)
    ]


def leaf(path: str) -> str:
    """The last part of a path."""
    return path.rstrip("/").rpartition("/")[2]


def parent(path: str) -> str:
    """The path that it lies in; empty at the top."""
    return path.rstrip("/").rpartition("/")[0]


def run_of(path: str) -> int | None:
    """The number of the run that a path lies in."""
    parts = path.split("/")
    return int(parts[1]) if parts[0] == "runs" and len(parts) > 1 and parts[1].isdecimal() else None
