"""Requests about the sample apps."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AddSample:
    """Copy the named sample, `samples/<name>`, into the app folder."""

    name: str
