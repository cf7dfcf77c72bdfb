"""What the process's exit code means; the same numbers as `spice_engine.errors` gives.

A command that follows a run (`run`, `wait`) ends with the run's own exit code instead, and a
run ended by a signal with 128 and the signal's number.
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """`MEANINGS` says what each is for."""

    OK = 0
    FAILED = 1
    USAGE = 2
    INVALID_SETTINGS = 3
    INVALID_POD = 4
    NOT_FOUND = 5
    CONFLICT = 6
    FORBIDDEN = 7
    PROTOCOL = 8
    NO_ENGINE = 9
    STORAGE = 10
    CHILD_FAILED = 11
    OVERLOADED = 12
    DEFECT = 70
    INTERRUPTED = 130
    BROKEN_PIPE = 141


MEANINGS: dict[ExitCode, str] = {
    ExitCode.OK: "Everything went well.",
    ExitCode.FAILED: "Another error, or `doctor` found something missing.",
    ExitCode.USAGE: "A wrong option or argument, or a request the engine cannot read.",
    ExitCode.INVALID_SETTINGS: "A setting in a file, variable or flag cannot be used.",
    ExitCode.INVALID_POD: "A manifest, its data or its reward code has errors.",
    ExitCode.NOT_FOUND: "The named thing does not exist.",
    ExitCode.CONFLICT: "The thing is in a state in which this cannot be done.",
    ExitCode.FORBIDDEN: "Not allowed, or not without a token.",
    ExitCode.PROTOCOL: "What came over a socket is not what the protocol says.",
    ExitCode.NO_ENGINE: "No engine runs, it does not answer, or another one holds the folder.",
    ExitCode.STORAGE: "The disk is full, read-only or broken, or a file is of another version.",
    ExitCode.CHILD_FAILED: "A child process died, or work took longer than its deadline.",
    ExitCode.OVERLOADED: "A bounded queue is full; try again later.",
    ExitCode.DEFECT: "A defect of the engine; its log has the details.",
    ExitCode.INTERRUPTED: "Control-C.",
    ExitCode.BROKEN_PIPE: "Whoever read the output went away.",
}
