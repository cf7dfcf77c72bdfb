"""The options that take a commit's files, not the folder as it is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from spice_engine.errors import InvalidSettings
from spice_tui.cli.session import Session, expand

Text = str | None
HERE = "."

GIT: dict[str, Any] = {
    "git": Annotated[
        Text,
        typer.Option(
            "--git",
            "--github-url",
            metavar="URL|PATH",
            help="Take the files of a git repository: an address, or a path of this machine.",
        ),
    ],
    "github_ref": Annotated[
        Text,
        typer.Option(
            "--github-ref", metavar="REF", help="Branch, tag or commit of it. Default: HEAD."
        ),
    ],
    "commit_ref": Annotated[
        Text,
        typer.Option(
            "--commit-ref",
            "-c",
            metavar="REF",
            help="Take the folder as it was at this commit, branch or tag.",
        ),
    ],
}


def commit_of(session: Session, given: Mapping[str, Any], cwd: str) -> dict[str, str]:
    """What these options ask for, by the fields of a run's request; empty without them. `cwd` is
    the text of `--cwd`, which is a place in the repository then.

    Raises:
        InvalidSettings: two options exclude each other.
    """
    found = repository_of(given)
    if not found:
        return {}
    if found["git"] == HERE:
        return {**found, "git": str(session.location.root)}
    # Where the command was called says nothing about another repository.
    return {**found, "cwd": cwd}


def repository_of(given: Mapping[str, Any]) -> dict[str, str]:
    """The repository and the commit that these options name; `HERE` is the app folder's.

    Raises:
        InvalidSettings: two options exclude each other.
    """
    place, ref, at = given.get("git"), given.get("github_ref"), given.get("commit_ref")
    if ref and not place:
        raise InvalidSettings(
            "--github-ref needs --github-url.", hint="For the folder itself: --commit-ref REF."
        )
    if ref and at:
        raise InvalidSettings("--github-ref and --commit-ref exclude each other.")
    if place:
        return {"git": _absolute(place), "git_ref": ref or at or ""}
    return {"git": HERE, "git_ref": at} if at else {}


def _absolute(place: str) -> str:
    """A path as an absolute one, since the engine works elsewhere; an address as it is."""
    is_path = place.startswith(("/", "~", ".")) or (":" not in place and expand(place).is_dir())
    return str((Path.cwd() / expand(place)).resolve()) if is_path else place
