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


OF_CODES: dict[str, ExitCode] = {
    "cannot_edit": ExitCode.CONFLICT,
    "checksum_mismatch": ExitCode.CONFLICT,
    "environment_failed": ExitCode.CHILD_FAILED,
    "feed_failed": ExitCode.INVALID_POD,
    "file_exists": ExitCode.CONFLICT,
    "git_failed": ExitCode.CHILD_FAILED,
    "invalid_datasource_action_expression": ExitCode.INVALID_POD,
    "invalid_law_expression": ExitCode.INVALID_POD,
    "invalid_lock_file": ExitCode.STORAGE,
    "invalid_observations": ExitCode.STORAGE,
    "invalid_package": ExitCode.INVALID_POD,
    "invalid_policy": ExitCode.STORAGE,
    "invalid_recommendation_time": ExitCode.USAGE,
    "invalid_reward_value": ExitCode.INVALID_POD,
    "invalid_time": ExitCode.USAGE,
    "job_lost": ExitCode.CHILD_FAILED,
    "method_not_allowed": ExitCode.USAGE,
    "needs_trust": ExitCode.CONFLICT,
    "not_enough_data": ExitCode.USAGE,
    "pod_exists": ExitCode.CONFLICT,
    "pod_not_trained": ExitCode.CONFLICT,
    "registry_unreachable": ExitCode.NO_ENGINE,
    "request_timeout": ExitCode.USAGE,
    "tag_not_found": ExitCode.NOT_FOUND,
    "tls_tool_missing": ExitCode.INVALID_SETTINGS,
    "unsupported_encoding": ExitCode.USAGE,
}
"""Of errors whose classes lie in modules of the engine that no command imports."""


def of_error(code: str, otherwise: int) -> int:
    """The exit code for an error's code; `otherwise` is that of the class known here."""
    return OF_CODES.get(code, otherwise)


MEANINGS: dict[ExitCode, str] = {
    ExitCode.OK: "Everything went well.",
    ExitCode.FAILED: "Another error, a reward test that fails, or something that `doctor` misses.",
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
