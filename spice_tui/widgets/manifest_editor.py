"""The manifest editor: its pane, and what keys and the `:` line do in it."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path, PurePosixPath
from typing import ClassVar

from textual.app import SuspendNotSupported
from textual.binding import BindingType

from spice_engine.errors import InvalidRequest, SpiceError
from spice_engine.protocol.edits import AddAction, AddDataspace, AddRewards
from spice_tui.models import authoring_words
from spice_tui.models.text_edits import fix_edit, place_of, range_of
from spice_tui.screens.form import Form, FormField
from spice_tui.widgets.editor_pane import EditorPane
from spice_tui.widgets.keys import bindings


class ManifestEditor(EditorPane):
    """Edits one manifest at a time; `open` it. Its actions are those of the context `editor`.

    It tells `Saved`, `Changed`, `PreviewWanted`, `PreviewOver` and `ProblemsChanged`.
    """

    CONTEXT = "editor"
    BINDINGS: ClassVar[list[BindingType]] = bindings("editor")

    # -- saving

    def action_save(self) -> None:
        """Save the manifest; typing goes on meanwhile."""
        self.run_worker(self.save, group="editor-save")

    def action_revert(self) -> None:
        """Go back to the text on disk; undo gives this one again."""
        if self.file.foreign is not None:
            self.file.resolve("theirs")
        elif self.file.disk is not None:
            self.area.change_to(self.file.disk.text)

    def action_compare(self) -> None:
        """Show what differs from the text on disk."""
        from spice_tui.screens.changed_on_disk import Difference

        if self.file.disk is not None:
            theirs = (self.file.foreign or self.file.disk).text.replace("\r\n", "\n")
            self.app.push_screen(Difference(self.file.disk.path, theirs, self.area.plain))

    # -- help

    def action_complete(self) -> None:
        """List what can stand at the cursor."""
        self.checks.complete_now()

    def action_explain(self) -> None:
        """Explain what stands at the cursor in full; where nothing does, show the keys."""
        self.run_worker(self._explain_in_full, group="editor-explain", exclusive=True)

    async def _explain_in_full(self) -> None:
        from spice_tui.screens.explanation import Explanation

        problem = self.area.problem_at(self.area.cursor_location)
        hover = await self.checks.explaining()
        if problem is None and not hover.title:
            await self.app.run_action("app.help")
            return
        parts = [f"{problem.message} {problem.hint}".strip()] if problem else []
        parts += [hover.text] if hover.title else []
        title = hover.title or (problem.code if problem else "")
        self.app.push_screen(Explanation(title, "\n\n".join(parts)))

    def action_fix(self) -> None:
        """Mend the finding at the cursor, or else the first in its line that can be mended."""
        row, _ = self.area.cursor_location
        here = self.area.problem_at(self.area.cursor_location)
        fixable = [here] if here and here.fix else []
        fixable += [one for one in self.area.problems if one.line == row + 1 and one.fix]
        if not self.checks.is_current:
            self.tell("The text is being checked; try again.")
        elif not fixable:
            self.tell("No fix is known for this line.")
        else:
            edit = fix_edit(fixable[0])
            if edit is not None and not self.area.read_only:
                self.area.apply(edit)

    def action_next_problem(self) -> None:
        """Go to the next finding."""
        self.go_to_problem(1)

    def action_previous_problem(self) -> None:
        """Go to the finding before."""
        self.go_to_problem(-1)

    def go_to_problem(self, step: int) -> None:
        """Go to a finding after (1) or before (-1) the cursor, going round."""
        ranges = (range_of(problem, self.area.lines) for problem in self.area.problems)
        starts = sorted({found[0] for found in ranges if found})
        if not starts:
            self.tell("There are no problems in this text.")
            return
        here = self.area.cursor_location
        after = [start for start in starts if start > here]
        before = [start for start in starts if start < here]
        if step > 0:
            self.area.go(after[0] if after else starts[0])
        else:
            self.area.go(before[-1] if before else starts[-1])
        self.area.focus()

    # -- going

    def action_find(self, *words: str) -> None:
        """Find and replace."""
        self.search.open(" ".join(words))

    def action_find_next(self) -> None:
        """Go to the next hit."""
        self._find_step(backwards=False)

    def action_find_previous(self) -> None:
        """Go to the hit before."""
        self._find_step(backwards=True)

    def _find_step(self, *, backwards: bool) -> None:
        if self.bar.wanted:
            self.search.step(backwards=backwards)
        else:
            self.search.open()

    def action_go_to_line(self, number: str = "") -> None:
        """Go to a line."""
        if number:
            if not number.isdecimal():
                self.tell(f"{number!r} is no number of a line.", "warning")
                return
            self.area.go((int(number) - 1, 0))
            self.area.focus()
            return

        def go(values: dict[str, str] | None) -> None:
            if values and values["line"]:
                self.action_go_to_line(values["line"])

        last = len(self.area.lines)
        self.app.push_screen(Form("Go to line", [FormField("line", "Line", f"1 to {last}")]), go)

    def action_go_to_symbol(self, name: str = "") -> None:
        """Go to a part by its name; without one, choose it."""
        from spice_tui.screens.part_picker import PartPicker

        found = [item for item in self.checks.outline if item.name == name]
        if not found and name:
            found = [item for item in self.checks.outline if name.lower() in item.name.lower()]
        if found:
            self.area.go(place_of(found[0].line, found[0].column))
            self.area.focus()
        elif name:
            self.tell(f"There is no part {name!r} in this text.", "warning")
        else:
            self.app.push_screen(PartPicker(self.checks.outline), self._go_to_part)

    def _go_to_part(self, place: tuple[int, int] | None) -> None:
        if place is not None:
            self.area.go(place_of(*place))

    # -- editing

    def action_undo(self) -> None:
        """Take back the last change."""
        self.area.undo()

    def action_redo(self) -> None:
        """Make the change again."""
        self.area.redo()

    def action_comment(self) -> None:
        """Make comments of lines, or lines of comments."""
        self.area.toggle_comment()

    def action_duplicate(self) -> None:
        """Put the lines below once more."""
        self.area.duplicate_rows()

    def action_move_up(self) -> None:
        """Move the lines one up."""
        self.area.move_rows(-1)

    def action_move_down(self) -> None:
        """Move the lines one down."""
        self.area.move_rows(1)

    def action_external(self) -> None:
        """Edit the text in the person's own editor."""
        if self.file.disk is None or self.area.read_only:
            self.tell("There is no manifest here that can be changed.", "warning")
            return
        command = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
        words = shlex.split(command)
        if not words or shutil.which(words[0]) is None:
            self.tell(f"There is no program {command!r}. Set EDITOR to your editor.", "warning")
            return
        with tempfile.TemporaryDirectory(prefix="spice-edit-") as folder:
            copy = Path(folder) / PurePosixPath(self.file.disk.path).name
            copy.write_text(self.area.text, encoding="utf-8", newline="")
            try:
                with self.app.suspend():
                    code = subprocess.run([*words, str(copy)], check=False).returncode
            except SuspendNotSupported:
                self.tell("This terminal cannot be lent to another program.", "warning")
                return
            try:
                text = copy.read_bytes().decode("utf-8")
            except (OSError, UnicodeDecodeError) as error:
                self.tell(f"What {words[0]} wrote cannot be read: {error}.", "error")
                return
        self.app.refresh(layout=True)
        self.area.change_to(text)
        if code:
            self.tell(f"{words[0]} ended with {code}; the text is what it wrote.", "warning")
        self.checks.check_now()

    # -- authoring

    async def action_add_dataspace(self, *words: str) -> None:
        """Add a dataspace: as the words say, or as a form asks."""
        if words:
            await self._try(self.add_dataspace(authoring_words.dataspace_of(words)))
            return
        fields = [
            FormField("path", "From and name", "exchange/candles", required=True),
            FormField("measurements", "Measurements", "close volume spread:column"),
            FormField("connector", "Connector", "file; empty: data are pushed over HTTP"),
            FormField("params", "Parameters of the connector", "path=data/prices.csv"),
            FormField("processor", "Processor", "csv"),
        ]

        def add(values: dict[str, str] | None) -> None:
            if values:
                self._author_form(lambda: authoring_words.dataspace_of_form(values))

        self.app.push_screen(Form("Add a dataspace", fields), add)

    async def action_add_action(self, *words: str) -> None:
        """Add an action: as the words say, or as a form asks."""
        if words:
            await self._try(self.add_action(authoring_words.action_of(words)))
            return
        fields = [
            FormField("name", "Name", "buy", required=True),
            FormField("do", "Dataspace action it runs", "local.portfolio.buy"),
            FormField("reward", "Code of its reward", "reward = 1"),
        ]

        def add(values: dict[str, str] | None) -> None:
            if values:
                self._author_form(lambda: AddAction("", **values))

        self.app.push_screen(Form("Add an action", fields), add)

    async def action_add_rewards(self) -> None:
        """Put code for each action in place of uniform rewards."""
        await self._try(self.add_rewards(AddRewards("")))

    def _author_form(self, make: Callable[[], AddDataspace | AddAction]) -> None:
        async def work() -> None:
            try:
                request = make()
            except InvalidRequest as error:
                self.tell(str(error), "error")
                return
            if isinstance(request, AddDataspace):
                await self._try(self.add_dataspace(request))
            else:
                await self._try(self.add_action(request))

        self.run_worker(work, group="editor-author")

    async def _try(self, work: Awaitable[None]) -> None:
        try:
            await work
        except SpiceError as error:
            self.tell(str(error), "error")
