"""Requests about the sample apps."""

from __future__ import annotations

from spice_engine.records import record


@record
class AddSample:
    """Copy the named sample, `samples/<name>`, into the app folder."""

    name: str
