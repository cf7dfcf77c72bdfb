"""Names for shell completion, asked of a running engine; silent when it does not answer at once."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import typer

from spice_engine.errors import SpiceError
from spice_tui.cli.session import Session

SECONDS = 0.3
MANIFESTS = (".yaml", ".yml")


def _names(ctx: typer.Context, noun: str, prefix: str) -> list[str]:
    root: Any = ctx.find_root()
    try:
        session = Session(str(root.params.get("folder") or ""))
        with session.attach(timeout=SECONDS) as client:
            answer = client.call("engine.names", {"noun": noun, "prefix": prefix}, timeout=SECONDS)
        return [str(name) for name in answer["names"]]
    except (SpiceError, OSError, KeyError, TypeError):
        return []  # pressing Tab must never print an error into the line being typed


def pods(ctx: typer.Context, incomplete: str) -> list[str]:
    """Names of pods."""
    return _names(ctx, "pods", incomplete)


def pods_and_manifests(ctx: typer.Context, incomplete: str) -> list[str]:
    """Names of pods; where none begins so, paths of manifests."""
    return pods(ctx, incomplete) or _manifests(incomplete)


def _manifests(prefix: str) -> list[str]:
    folder = prefix[: prefix.rfind("/") + 1]
    found: list[str] = []
    for inner in ("", "spicepods/"):
        with contextlib.suppress(OSError, RuntimeError):  # no such folder, or no such user
            entries = Path(folder + inner or ".").expanduser().iterdir()
            names = [entry.name for entry in entries if entry.name.endswith(MANIFESTS)]
            paths = [folder + inner + name for name in names]
            found += sorted(path for path in paths if path.startswith(prefix))
    return found


def runs(ctx: typer.Context, incomplete: str) -> list[str]:
    """Numbers of runs."""
    return _names(ctx, "runs", incomplete)


def workflows(ctx: typer.Context, incomplete: str) -> list[str]:
    """Numbers of workflows."""
    return _names(ctx, "workflows", incomplete)


def projects(ctx: typer.Context, incomplete: str) -> list[str]:
    """Names of projects."""
    return _names(ctx, "projects", incomplete)


def searches(ctx: typer.Context, incomplete: str) -> list[str]:
    """Numbers of searches."""
    return _names(ctx, "searches", incomplete)


def workspaces(ctx: typer.Context, incomplete: str) -> list[str]:
    """Names of workspaces."""
    return _names(ctx, "workspaces", incomplete)


def models(ctx: typer.Context, incomplete: str) -> list[str]:
    """Models, and their newest versions."""
    return _names(ctx, "models", incomplete)


def resources(ctx: typer.Context, incomplete: str) -> list[str]:
    """Uploads and links; the roots of the tree without an engine, too."""
    roots = ("runs/", "uploads/", "models/", "public/")
    return [name for name in roots if name.startswith(incomplete)] + _names(
        ctx, "resources", incomplete
    )


def servers(ctx: typer.Context, incomplete: str) -> list[str]:
    """Names of model servers."""
    return _names(ctx, "servers", incomplete)


def node_groups(ctx: typer.Context, incomplete: str) -> list[str]:
    """Names of node groups."""
    return _names(ctx, "node_groups", incomplete)


def machine_types(ctx: typer.Context, incomplete: str) -> list[str]:
    """Names of machine types."""
    return _names(ctx, "machine_types", incomplete.lower())


def models_and_scripts(ctx: typer.Context, incomplete: str) -> list[str]:
    """Names of models, of pods, and paths of Python files: what a server is made from."""
    return [*models(ctx, incomplete), *pods(ctx, incomplete), *scripts(incomplete)]


def scripts(incomplete: str) -> list[str]:
    """Paths of Python files, and of folders on the way to them."""
    folder = incomplete[: incomplete.rfind("/") + 1]
    with contextlib.suppress(OSError, RuntimeError):  # no such folder, or no such user
        entries = sorted(Path(folder or ".").expanduser().iterdir())
        paths = [
            folder + entry.name + ("/" if entry.is_dir() else "")
            for entry in entries
            if (entry.suffix == ".py" or entry.is_dir()) and not entry.name.startswith(".")
        ]
        return [path for path in paths if path.startswith(incomplete)]
    return []
