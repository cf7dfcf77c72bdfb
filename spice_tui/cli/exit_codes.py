"""What the process's exit code means; the same numbers as `spice_engine.errors` gives.

A command that follows a run (`run`, `wait`) ends with the run's own exit code instead, and a
run ended by a signal with 128 and the signal's number.
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """Documented in docs/cli.md."""

    OK = 0
    FAILED = 1
    """Something went wrong that has no number of its own, or `doctor` found something missing."""
    USAGE = 2
    """A wrong option or argument, or a request the engine cannot read."""
    INVALID_SETTINGS = 3
    """A setting in a file, variable or flag cannot be used."""
    INVALID_POD = 4
    """A manifest, its data or its reward code has errors."""
    NOT_FOUND = 5
    """The named thing does not exist."""
    CONFLICT = 6
    """The thing is in a state in which this cannot be done."""
    FORBIDDEN = 7
    """Not allowed, or not without a token."""
    PROTOCOL = 8
    """What came over a socket is not what the protocol says."""
    NO_ENGINE = 9
    """No engine runs, it does not answer, or another one holds the folder."""
    STORAGE = 10
    """The disk is full, read-only or broken, or a file is of another version."""
    CHILD_FAILED = 11
    """A child process died, or work took longer than its deadline."""
    OVERLOADED = 12
    """A bounded queue is full; try again later."""
    DEFECT = 70
    """A defect of the engine; its log has the details."""
    INTERRUPTED = 130
    """Control-C."""
    BROKEN_PIPE = 141
    """Whoever read the output went away."""
