"""Requests and answers about edits of manifests."""

from __future__ import annotations

from dataclasses import field

from spice_engine.protocol.pods import ProblemInfo
from spice_engine.records import record


@record
class InitPod:
    """Write a new manifest `spicepods/<name in lower case>.yaml`; `replace` one that is there."""

    name: str
    replace: bool = False


@record
class AddDataspace:
    """Add a dataspace FROM/NAME to a pod's manifest (an empty `pod`: the only one).

    `measurements` maps names to columns (empty: the same name), `categories` names to their
    values. Without a connector its data are pushed over HTTP; `local` state has no data at all.
    With `text`, that text is edited and given back, and the file stays as it is.
    """

    pod: str
    path: str
    measurements: dict[str, str] = field(default_factory=dict[str, str])
    categories: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    identifiers: list[str] = field(default_factory=list[str])
    connector: str = ""
    params: dict[str, str] = field(default_factory=dict[str, str])
    processor: str = ""
    processor_params: dict[str, str] = field(default_factory=dict[str, str])
    local: bool = False
    text: str | None = None


@record
class AddAction:
    """Add an action to a pod's manifest (an empty `pod`: the only one), and a reward for it.

    `do` is the dataspace action it runs, `from.name.action`; `reward` its code, or a function's
    name. With `text`, that text is edited and given back, and the file stays as it is.
    """

    pod: str
    name: str
    do: str = ""
    reward: str = ""
    text: str | None = None


@record
class AddRewards:
    """Put code for each action in place of a pod's uniform rewards (an empty `pod`: the only one).

    With `text`, that text is edited and given back, and the file stays as it is.
    """

    pod: str
    text: str | None = None


@record
class Edited:
    """A manifest after an edit: its pod, its path in the app folder, its text and findings."""

    pod: str
    manifest: str
    text: str
    problems: list[ProblemInfo]
