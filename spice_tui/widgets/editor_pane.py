"""The pane of the manifest editor: a text, its file, and what the engine knows of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING

from textual import events, on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.message import Message

from spice_engine.errors import ChangedOnDisk, EngineUnavailable, SpiceError
from spice_tui.widgets.completion import CompletionPopup
from spice_tui.widgets.debounce import Debounce
from spice_tui.widgets.editor_checks import EditorChecks
from spice_tui.widgets.editor_file import EditorFile
from spice_tui.widgets.editor_lines import HelpLine, StatusLine, Told
from spice_tui.widgets.editor_questions import EditorQuestions
from spice_tui.widgets.editor_search import EditorSearch
from spice_tui.widgets.find_bar import FindBar
from spice_tui.widgets.manifest_area import ManifestArea

if TYPE_CHECKING:
    from spice_engine.protocol.authoring import Checked, ManifestText
    from spice_engine.protocol.authoring import Saved as SavedAnswer
    from spice_engine.protocol.edits import AddAction, AddDataspace, AddRewards, Edited
    from spice_engine.protocol.pods import ProblemInfo
    from spice_tui.models.authoring_door import AuthoringDoor
    from spice_tui.models.draft import Drafts

DRAFT_AFTER = 1.0


class EditorPane(Vertical):
    """One manifest at a time. All that needs the engine goes through `door`."""

    DEFAULT_CSS = """
    EditorPane { height: 1fr; width: 1fr; }
    """

    class Saved(Message):
        """The manifest was written; its pod is trained by the engine."""

        def __init__(self, answer: SavedAnswer) -> None:
            super().__init__()
            self.answer = answer

    class Changed(Message):
        """The text was checked after a change."""

        def __init__(self, text: str, *, valid: bool, modified: bool) -> None:
            super().__init__()
            self.text, self.valid, self.modified = text, valid, modified

    class PreviewWanted(Message):
        """A person stopped typing, and the text is valid and not the saved one."""

        def __init__(self, pod: str, path: str, text: str) -> None:
            super().__init__()
            self.pod, self.path, self.text = pod, path, text

    class PreviewOver(Message):
        """The text is the saved one again, or another manifest was opened."""

        def __init__(self, pod: str) -> None:
            super().__init__()
            self.pod = pod

    class Left(Message):
        """A person wants to leave the text."""

    class ProblemsChanged(Message):
        """Other findings than before."""

        def __init__(self, problems: tuple[ProblemInfo, ...]) -> None:
            super().__init__()
            self.problems = problems

    def __init__(
        self,
        door: AuthoringDoor,
        drafts: Drafts | None = None,
        *,
        id: str | None = None,  # noqa: A002
    ) -> None:
        super().__init__(id=id)
        self.door = door
        self.area = ManifestArea()
        self.popup = CompletionPopup()
        self.bar = FindBar()
        self.help = HelpLine()
        self.status = StatusLine()
        self.file = EditorFile(self.area, door, drafts)
        self.questions = EditorQuestions(self)
        self.search = EditorSearch(self.area, self.bar)
        self.checks = EditorChecks(
            self,
            door,
            self.area,
            self.popup,
            on_checked=self._checked,
            on_preview=self._preview,
            on_help=self._show_help,
            on_failed=self._check_failed,
        )
        self.area.take_key = self._take_key
        self._draft = Debounce(self, DRAFT_AFTER, self.keep_draft)
        self._others: tuple[ProblemInfo, ...] = ()
        self._previewed = ""
        self._opening = 0
        self._told: Told | None = None

    def compose(self) -> ComposeResult:
        yield self.area
        yield self.bar
        yield self.help
        yield self.status
        yield self.popup

    # -- opening

    async def open(self, pod: str = "", path: str = "") -> None:
        """Edit the manifest of a pod, or at a path. What was edited before is kept as a draft.

        Raises:
            SpiceError: it cannot be read; what was edited before stays.
        """
        self._opening += 1
        number = self._opening
        found = await self.file.read(pod, path)
        if number != self._opening:
            return  # another one was asked for meanwhile
        if self.file.disk is not None and self.file.disk.path == found.path:
            await self.look_at_disk()
            return
        self.file.keep_draft_now()
        self.show_text(found)
        self.file.find_draft()
        if self.file.pending is not None:
            self.tell("There is a draft of this file; go to the text to decide about it.")
            self.questions.ask_if_here()

    def show_text(self, manifest: ManifestText) -> None:
        """Edit this text from now on; its draft is not asked for."""
        self._end_preview()
        self._others, self._told = (), None
        self.file.show(manifest)
        if self.file.is_altered:
            self.tell(
                "This file has characters that would be lost here. Write it with your own editor.",
                "warning",
            )
        self.checks.path = manifest.path
        self.checks.another_text()
        self.show_status()

    # -- what the world tells

    def show_problems(self, problems: Iterable[ProblemInfo]) -> None:
        """Findings from elsewhere (data, reward code, training), about the saved text."""
        self._others = tuple(problems)
        self._mark()

    def engine_lost(self) -> None:
        """The engine is gone: keep the draft at once."""
        self.keep_draft()

    async def look_at_disk(self) -> None:
        """Look whether the file was changed by somebody else; ask what to do if so."""
        before = self.file.disk
        try:
            differs = await self.file.look()
        except SpiceError as error:
            self.tell(str(error), "warning")
            return
        if differs:
            self.tell("The file was changed by somebody else while you edited it.", "warning")
            self.questions.ask_if_here()
        elif self.file.disk is not None and before is not self.file.disk:
            if self.file.disk.exists:
                self.tell("The file was changed by somebody else; this is its text now.")
            else:
                self.tell("The file was removed; saving makes it again.", "warning")
        if not self.checks.is_current:
            self.checks.check_now()  # the last answer was lost with the engine
        self.show_status()

    # -- saving

    async def save(self) -> SavedAnswer | None:
        """Write the text; None when it could not be, which is said on the status line."""
        self._draft.stop()
        try:
            answer = await self.file.save()
        except ChangedOnDisk:
            await self.look_at_disk()
            self.questions.ask_about_change()
            return None
        except SpiceError as error:
            kept = self.file.draft_error or "The draft is kept."
            hint = (
                "Save again when the engine is back."
                if isinstance(error, EngineUnavailable)
                else ""
            )
            self.tell(
                " ".join(part for part in ("Not saved:", str(error), kept, hint) if part), "error"
            )
            self.show_status()
            return None
        self._previewed = ""  # the engine ends the preview of what is saved
        self._others = tuple(answer.problems)
        self.tell("Saved.")
        self._mark()
        self.post_message(self.Saved(answer))
        return answer

    def keep_draft(self) -> None:
        """Bring the draft on disk up to date, in the background."""
        self._draft.stop()
        self.run_worker(self._keeping, group="editor-draft")

    async def _keeping(self) -> None:
        await self.file.keep_draft()
        self.show_status()

    def on_unmount(self) -> None:
        self.checks.stop()
        self._draft.stop()
        self.file.keep_draft_now()

    # -- what happens in the text

    def _take_key(self, key: str) -> bool:
        """Each key comes here first: what was said is read, and the list may want it."""
        if self._told is not None:
            self._told = None
            self._show_help()
        return self.popup.take_key(key)

    @on(ManifestArea.Changed)
    def _area_changed(self, event: ManifestArea.Changed) -> None:
        event.stop()
        if self.file.disk is None or event.text_area is not self.area:
            return
        if self.file.pending is not None:
            self.questions.ask_if_here()
        self.checks.edited()
        self._draft.again()
        self.show_status()

    @on(ManifestArea.SelectionChanged)
    def _moved(self, event: ManifestArea.SelectionChanged) -> None:
        event.stop()
        self.checks.moved()
        self._show_help()
        self.show_status()

    @on(ManifestArea.Left)
    def _left(self, event: ManifestArea.Left) -> None:
        event.stop()
        self.post_message(self.Left())

    @on(ManifestArea.TabAfterText)
    def _tab(self, event: ManifestArea.TabAfterText) -> None:
        event.stop()
        self.checks.complete_now()

    @on(CompletionPopup.Chosen)
    def _chosen(self, event: CompletionPopup.Chosen) -> None:
        event.stop()
        self.checks.insert(event.item, event.start_column)

    def on_descendant_blur(self, event: events.DescendantBlur) -> None:
        if event.widget is self.area:
            self.popup.close()

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        if event.widget is self.area and self.file.disk is not None:
            self.questions.ask_if_here()
            self.run_worker(self.look_at_disk, group="editor-look", exclusive=True)

    @on(FindBar.Wanted)
    def _find_wanted(self, event: FindBar.Wanted) -> None:
        event.stop()
        self.search.wanted()

    @on(FindBar.Step)
    def _step_wanted(self, event: FindBar.Step) -> None:
        event.stop()
        self.search.step(backwards=event.backwards)

    @on(FindBar.Replace)
    def _replace_wanted(self, event: FindBar.Replace) -> None:
        event.stop()
        self.search.replace(every=event.every)

    @on(FindBar.Closed)
    def _find_closed(self, event: FindBar.Closed) -> None:
        event.stop()
        self.bar.close()
        self.area.focus()

    # -- what is known of the text

    def _checked(self, checked: Checked) -> None:
        self._mark()
        modified = self.file.modified
        self.post_message(self.Changed(self.area.text, valid=checked.valid, modified=modified))
        if not modified:
            self._end_preview()

    def _check_failed(self, error: SpiceError) -> None:
        if isinstance(error, EngineUnavailable):
            self.keep_draft()
        if self._told is None or self._told.severity != "error":  # such as: not saved
            self.tell(str(error), "warning")

    def _mark(self) -> None:
        """Show the findings: those of the text, and while it is saved those from elsewhere too."""
        found = list(self.checks.problems)
        if not self.file.modified:
            known = {(p.code, p.line, p.message) for p in found}
            found += [p for p in self._others if (p.code, p.line, p.message) not in known]
        here = tuple(problem for problem in found if self.checks.is_here(problem))
        if here != self.area.problems:
            self.area.show_problems(here)
            self.post_message(self.ProblemsChanged(tuple(found)))
        self._show_help()
        self.show_status()

    def _preview(self) -> None:
        disk, text = self.file.disk, self.area.text
        if disk is None or not disk.pod:
            return  # a preview runs beside a pod, and there is none yet
        if self.file.modified and text != self._previewed:
            self._previewed = text
            self.post_message(self.PreviewWanted(disk.pod, disk.path, text))

    def _end_preview(self) -> None:
        if self._previewed and self.file.disk is not None:
            self._previewed = ""
            self.post_message(self.PreviewOver(self.file.disk.pod))

    # -- what is said

    def tell(self, text: str, severity: str = "information") -> None:
        """Say something on the help line, until the next key."""
        self._told = Told(text, severity)
        self._show_help()

    def _show_help(self) -> None:
        problem = self.area.problem_at(self.area.cursor_location)
        self.help.show(self._told, problem, self.checks.hover)

    def show_status(self) -> None:
        """Bring the status line up to date."""
        self.status.show(
            self.file.disk.path if self.file.disk else "",
            self.file.state,
            self.area.problems,
            self.area.cursor_location,
            self.file.draft_error,
        )

    # -- authoring

    async def add_dataspace(self, request: AddDataspace) -> None:
        """Add a dataspace to the text. Raises `SpiceError` when it does not fit."""
        await self._author(self.door.add_dataspace, request)

    async def add_action(self, request: AddAction) -> None:
        """Add an action to the text. Raises `SpiceError` when it does not fit."""
        await self._author(self.door.add_action, request)

    async def add_rewards(self, request: AddRewards) -> None:
        """Put code in place of uniform rewards. Raises `SpiceError` when it does not fit."""
        await self._author(self.door.add_rewards, request)

    async def _author(self, ask: Callable[..., Awaitable[Edited]], request: object) -> None:
        disk, text = self.file.disk, self.area.text
        if disk is None or self.area.read_only:
            self.tell("There is no manifest here that can be changed.", "warning")
            return
        wanted = dataclasses.replace(request, pod=disk.pod, text=text)  # type: ignore[type-var]
        edited = await ask(wanted)
        if self.area.text != text:
            self.tell("The text was changed meanwhile: nothing was added.", "warning")
            return
        self.area.change_to(edited.text)
        self.area.focus()
