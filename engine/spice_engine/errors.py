"""The tree of errors: what happened, where, what to do, and which code each door answers with.

Every error a user can cause derives from `SpiceError`. A door turns it into its own form:
HTTP status and JSON, a frame, or one paragraph on stderr and an exit code. Anything else that
escapes is a defect of ours and is reported as `internal_error`, with its traceback in the log.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, cast

from spice_engine.records import record


@record
class Place:
    """Where in a text something is: 1-based line and column; the end is exclusive."""

    file: str
    line: int = 0
    column: int = 0
    end_line: int = 0
    end_column: int = 0

    def __str__(self) -> str:
        if not self.line:
            return self.file
        return (
            f"{self.file}:{self.line}:{self.column}" if self.column else f"{self.file}:{self.line}"
        )


_ENDS = (".", "!", "?", ":", ";", "…")


class SpiceError(Exception):
    """Root of the tree.

    `message` says what happened in one sentence, `hint` what to do about it, `place` where.
    The class gives the stable `code` (snake case), the HTTP status and the CLI's exit code.
    """

    code: ClassVar[str] = "error"
    http_status: ClassVar[int] = 400
    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str = "", place: Place | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.place = place

    def __str__(self) -> str:
        text = f"{self.place}: {self.message}" if self.place else self.message
        if not self.hint:
            return text
        # What another program said often ends without a full stop.
        return f"{text}{'' if text.endswith(_ENDS) else '.'} {self.hint}"

    def as_dict(self) -> dict[str, Any]:
        """The error as plain data, the same on every door."""
        answer: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.hint:
            answer["hint"] = self.hint
        if self.place:
            answer["place"] = {
                "file": self.place.file,
                "line": self.place.line,
                "column": self.place.column,
            }
        return answer


class InvalidRequest(SpiceError):
    """The request does not have the form or the values its operation asks for."""

    code = "invalid_request"
    exit_code = 2


class InvalidSettings(SpiceError):
    """A settings file, variable or flag holds something that cannot be used."""

    code = "invalid_settings"
    exit_code = 3


class InvalidManifest(SpiceError):
    """A Spicepod's manifest cannot be used; `problems` holds every finding, not the first only."""

    code = "invalid_manifest"
    exit_code = 4

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        place: Place | None = None,
        problems: Sequence[dict[str, Any]] = (),
    ) -> None:
        super().__init__(message, hint=hint, place=place)
        self.problems = tuple(problems)

    def as_dict(self) -> dict[str, Any]:
        return {**super().as_dict(), "problems": list(self.problems)}


class InvalidWorkflow(InvalidManifest):
    """A workflow's file cannot be used; `problems` holds every finding."""

    code = "invalid_workflow"


class InvalidData(SpiceError):
    """Data of a pod could not be read at all (single bad rows are counted, not raised)."""

    code = "invalid_data"
    exit_code = 4


class InvalidEnvironment(InvalidData):
    """A gymnasium environment is not there, cannot be made, or cannot be learned from."""

    code = "invalid_environment"


class InvalidRewards(SpiceError):
    """Reward code that is not allowed, raises, or gives no finite number."""

    code = "invalid_reward_function"
    exit_code = 4


class NotFound(SpiceError):
    """The named thing does not exist."""

    code = "not_found"
    http_status = 404
    exit_code = 5


class Conflict(SpiceError):
    """The thing is in a state in which this cannot be done."""

    code = "conflict"
    http_status = 409
    exit_code = 6


class AlreadyExists(Conflict):
    """There is a thing of that name."""

    code = "already_exists"


class NotInstalled(Conflict):
    """A program that this needs is not there."""

    code = "not_installed"


class ChangedOnDisk(Conflict):
    """A file is not the one that was edited: somebody else wrote, made or removed it."""

    code = "changed_on_disk"


class NotTrained(Conflict):
    """The pod has no policy yet."""

    code = "training_not_complete"
    http_status = 400


class InsufficientData(Conflict):
    """The pod's data covers too little of its period to train on."""

    code = "insufficient_data"


class Unauthorized(SpiceError):
    """No token, or not the right one."""

    code = "unauthorized"
    http_status = 401
    exit_code = 7


class Forbidden(SpiceError):
    """A foreign Host or Origin, or something this door never allows."""

    code = "forbidden"
    http_status = 403
    exit_code = 7


class NotSupported(SpiceError):
    """This engine does not do that, and never will on its own."""

    code = "not_supported"
    http_status = 501
    exit_code = 2


class TooLarge(SpiceError):
    """A body, frame or line is over its limit."""

    code = "too_large"
    http_status = 413
    exit_code = 2


class ProtocolError(SpiceError):
    """What came over a socket is not what the protocol says."""

    code = "protocol_error"
    exit_code = 8


class EngineUnavailable(SpiceError):
    """There is no engine, it does not answer, or another one holds the folder."""

    code = "engine_unavailable"
    http_status = 503
    exit_code = 9


class StorageError(SpiceError):
    """The disk is full, read-only or broken; what was accepted before is untouched."""

    code = "storage_error"
    http_status = 507
    exit_code = 10


class IncompatibleVersion(StorageError):
    """A database, file or peer is of a version this code does not know."""

    code = "incompatible_version"
    http_status = 500


class ChildFailed(SpiceError):
    """A child process (trainer, loader, shim) died or did not answer."""

    code = "child_failed"
    http_status = 500
    exit_code = 11


class DeadlineExceeded(ChildFailed):
    """Work took longer than its deadline and was stopped."""

    code = "deadline_exceeded"
    http_status = 504


class Overloaded(SpiceError):
    """A bounded queue is full; try again later."""

    code = "overloaded"
    http_status = 429
    exit_code = 12


class InternalError(SpiceError):
    """A defect of ours; the log holds its traceback."""

    code = "internal_error"
    http_status = 500
    exit_code = 70


def by_code() -> dict[str, type[SpiceError]]:
    """All classes of the tree that are imported in this process, by their code."""
    found: dict[str, type[SpiceError]] = {}
    waiting: list[type[SpiceError]] = [SpiceError]
    while waiting:
        cls = waiting.pop()
        # A subclass without a code of its own does not hide the class that declared it.
        if "code" in cls.__dict__:
            found.setdefault(cls.code, cls)
        waiting.extend(cls.__subclasses__())
    return found


def revive(data: Mapping[str, Any]) -> SpiceError:
    """The error that `as_dict` described, in the process that receives it.

    A code this process has no class for (of a newer peer, or of a module that is not imported
    here) stays: it becomes a `SpiceError` of that code.
    """
    code = str(data.get("code", SpiceError.code))
    kind = by_code().get(code) or type("PeerError", (SpiceError,), {"code": code})
    raw = cast("Mapping[str, Any]", data.get("place") or {})
    place = None
    if raw:
        place = Place(str(raw.get("file", "")), int(raw.get("line", 0)), int(raw.get("column", 0)))
    message, hint = str(data.get("message", "no message")), str(data.get("hint", ""))
    if issubclass(kind, InvalidManifest):
        problems = cast("Sequence[dict[str, Any]]", data.get("problems", ()))
        return kind(message, hint=hint, place=place, problems=problems)
    return kind(message, hint=hint, place=place)
