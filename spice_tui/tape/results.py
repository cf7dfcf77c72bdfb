"""What came of playing a tape, as plain data."""

from __future__ import annotations

from dataclasses import field
from typing import Any, Literal

from spice_engine.records import record

Status = Literal["same", "differs", "colours", "missing", "left over", "new", "updated"]
BAD: frozenset[Status] = frozenset({"differs", "colours", "missing", "left over"})


@record
class Shot:
    """A screenshot and how it compares; `difference` is for people.

    `colours`: the text is the same, the picture is not. `left over`: no tape takes it any more.
    """

    name: str
    status: Status
    difference: str = ""


@record
class Failure:
    """The command at which a tape failed, and the screen then."""

    line: int
    column: int
    message: str
    screen: str
    file: str = ""


@record
class TapeResult:
    """One played tape; `steps` counts commands that were done."""

    tape: str
    steps: int
    screenshots: tuple[Shot, ...] = ()
    failed: Failure | None = None
    kept: str = field(default="", compare=False)

    @property
    def ok(self) -> bool:
        """Whether all went as the tape says, and the screens are as they were."""
        return self.failed is None and all(shot.status not in BAD for shot in self.screenshots)

    def as_dict(self) -> dict[str, Any]:
        """The result for scripts."""
        failed = self.failed
        return {
            "tape": self.tape,
            "ok": self.ok,
            "steps": self.steps,
            "screenshots": [
                {"name": shot.name, "status": shot.status} for shot in self.screenshots
            ],
            "failed": failed
            and {
                "file": failed.file,
                "line": failed.line,
                "column": failed.column,
                "message": failed.message,
                "screen": failed.screen,
            },
        }
