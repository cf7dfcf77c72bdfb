"""Answers about where runs have what TensorBoard reads."""

from __future__ import annotations

from spice_engine.records import record


@record
class EventFolder:
    """The folder of a run's event files: where it writes them now, or where they were kept.

    `folder` is empty where there are none yet; `over`: there will be no more.
    """

    run: int
    folder: str
    over: bool
