"""The two lines below a manifest's text: help or a finding, and what state the text is in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from textual.content import Content
from textual.widgets import Static

from spice_engine.records import record
from spice_tui.theme.symbols import symbols

if TYPE_CHECKING:
    from spice_engine.protocol.authoring import Hover
    from spice_engine.protocol.pods import ProblemInfo


@record
class Told:
    """Something to say. `severity`: information, warning or error."""

    text: str
    severity: str = "information"


class _Line(Static):
    """One line that is drawn anew only when it says something else."""

    DEFAULT_CSS = """
    _Line { height: 1; padding: 0 1; text-wrap: nowrap; text-overflow: ellipsis; }
    """

    def __init__(self) -> None:
        super().__init__("", markup=False)
        self._shown = Content("")

    def say(self, content: Content) -> None:
        """Show this."""
        if content != self._shown or content.spans != self._shown.spans:
            self._shown = content
            self.update(content, layout=False)

    @property
    def plain(self) -> str:
        """What is shown."""
        return self._shown.plain


def _signed(severity: str, text: str) -> Content:
    signs = symbols()
    line = " ".join(text.split())
    if severity == "error":
        return Content.assemble((f"{signs.failed} ", "bold $text-error"), line)
    if severity == "warning":
        return Content.assemble((f"{signs.warning} ", "bold $text-warning"), line)
    return Content(line)


class HelpLine(_Line):
    """What was just said; else the finding at the cursor; else what stands at the cursor."""

    DEFAULT_CSS = "HelpLine { background: $surface; }"

    def show(self, told: Told | None, problem: ProblemInfo | None, hover: Hover) -> None:
        """Show the first of these that there is."""
        if told is not None:
            self.say(_signed(told.severity, told.text))
        elif problem is not None:
            text = f"{problem.message} {problem.hint}".strip()
            if problem.fix is not None:
                text = f"{text} {symbols().dot} F4: {problem.fix.title}"
            self.say(_signed(problem.severity, text))
        elif hover.title:
            rest = " ".join(hover.text.split())
            self.say(Content.assemble((hover.title, "bold"), f"  {rest}" if rest else ""))
        else:
            self.say(Content(""))


def counted(problems: Sequence[ProblemInfo]) -> str:
    """`3 errors, 1 warning`; empty without any."""
    number = Counter(problem.severity for problem in problems)
    names = [name for name in ("error", "warning") if number[name]]
    names += sorted(name for name in number if name not in ("error", "warning"))
    return ", ".join(f"{number[name]} {name}{'s' if number[name] != 1 else ''}" for name in names)


class StatusLine(_Line):
    """The file, its state, how many findings there are, and where the cursor is."""

    DEFAULT_CSS = "StatusLine { background: $panel; color: $text-muted; }"

    def show(
        self,
        path: str,
        state: str,
        problems: Sequence[ProblemInfo],
        cursor: tuple[int, int],
        draft_error: str,
    ) -> None:
        """Show the state of the text; rows and columns count from 1 here."""
        if not path:
            self.say(Content("no manifest"))
            return
        signs = symbols()
        mark = {"saved": signs.ok, "modified": signs.mark, "changed on disk": signs.warning}
        parts: list[Content] = [
            Content(f"{cursor[0] + 1}:{cursor[1] + 1}"),
            Content(f"{mark.get(state, signs.dot)} {state}"),
        ]
        if problems:
            worst = "error" if any(p.severity == "error" for p in problems) else "warning"
            parts.append(_signed(worst, counted(problems)))
        if draft_error:
            parts.append(_signed("error", draft_error))
        parts.append(Content(path))
        self.say(Content("  ").join(parts))
