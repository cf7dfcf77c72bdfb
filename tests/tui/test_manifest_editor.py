"""The manifest editor against a real engine: what a person sees, types and saves."""

from __future__ import annotations

import asyncio
import dataclasses
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path

import pytest
from textual import events
from textual.app import App, ComposeResult
from textual.message import Message
from textual.pilot import Pilot

from spice_engine.protocol.authoring import ManifestText, StartPreview
from spice_tui.async_client import AsyncClient
from spice_tui.models.authoring_door import EngineDoor
from spice_tui.models.draft import Draft, Drafts
from spice_tui.screens.changed_on_disk import ChooseText, Difference
from spice_tui.screens.explanation import Explanation
from spice_tui.widgets.manifest_editor import ManifestEditor
from tests.conftest import EngineFixture

MANIFEST = """\
name: shop
params:
  epoch_time: 1756684800
  period: 100h
  interval: 2h
  granularity: 1h
dataspaces:
  - from: store
    name: sales
    measurements:
      - name: price
actions:
  - name: buy
  - name: wait
training:
  rewards:
    - reward: buy
      with: |
        if current_state["store_sales_price"] > 1:
          reward = 1.5
        else:
          reward = -1
    - reward: wait
      with: reward = 0
"""


class Host(App[None]):
    """An app with an editor, and a list of what it told."""

    def __init__(self, client: AsyncClient, drafts: Drafts | None) -> None:
        super().__init__()
        self.client = client
        self.editor = ManifestEditor(EngineDoor(client), drafts)
        self.told: list[Message] = []

    def compose(self) -> ComposeResult:
        yield self.editor

    def on_mount(self) -> None:
        self.editor.area.focus()

    def _heard(self, event: Message) -> None:
        self.told.append(event)

    on_editor_pane_saved = _heard
    on_editor_pane_changed = _heard
    on_editor_pane_preview_wanted = _heard
    on_editor_pane_preview_over = _heard

    def heard(self, kind: type[Message]) -> list[Message]:
        """Messages of one kind so far."""
        return [message for message in self.told if isinstance(message, kind)]


async def until(pilot: Pilot[None], condition: Callable[[], object], what: str) -> None:
    """Let the app go on until something is so."""
    for _ in range(1500):
        if condition():
            return
        await pilot.pause()
        await asyncio.sleep(0.01)
    raise AssertionError(f"waited for {what}")


@asynccontextmanager
async def editing(
    engine: EngineFixture, *, drafts: Drafts | None = None, size: tuple[int, int] = (90, 30)
) -> AsyncIterator[tuple[Host, Pilot[None]]]:
    """An app whose editor is connected to the engine."""
    client = await AsyncClient.connect(engine.location)
    app = Host(client, drafts)
    try:
        async with app.run_test(size=size) as pilot:
            yield app, pilot
    finally:
        await client.close()


def path_of(engine: EngineFixture) -> Path:
    return engine.location.root / "spicepods" / "shop.yaml"


@pytest.fixture
def shop(shared_engine: EngineFixture) -> EngineFixture:
    """An engine on a folder with one pod, whose manifest is as at first."""
    path_of(shared_engine).parent.mkdir(exist_ok=True)
    path_of(shared_engine).write_text(MANIFEST)
    shared_engine.call("manifests.save", path="spicepods/shop.yaml", text=MANIFEST, force=True)
    return shared_engine


async def opened(app: Host, pilot: Pilot[None]) -> ManifestEditor:
    """The editor with the pod's manifest, checked."""
    await app.editor.open(path="spicepods/shop.yaml")
    await until(pilot, lambda: app.editor.checks.is_current, "the first check")
    return app.editor


async def test_a_manifest_is_opened_edited_and_saved(shop: EngineFixture) -> None:
    async with editing(shop) as (app, pilot):
        editor = await opened(app, pilot)
        assert editor.area.text == MANIFEST
        assert editor.file.state == "saved"
        assert "spicepods/shop.yaml" in editor.status.plain
        editor.area.go((3, len("  period: 100h")))
        await pilot.press("backspace", "backspace", "5", "h")
        assert editor.file.state == "modified"
        await pilot.press("ctrl+s")
        await until(pilot, lambda: editor.file.state == "saved", "the save")
        assert "period: 105h" in path_of(shop).read_text()
        assert app.heard(ManifestEditor.Saved)


async def test_findings_are_underlined_counted_and_gone_to(shop: EngineFixture) -> None:
    async with editing(shop) as (app, pilot):
        editor = await opened(app, pilot)
        editor.area.change_to(MANIFEST.replace("granularity: 1h", "granularity: soon"))
        await until(pilot, lambda: editor.area.problems, "findings")
        assert "1 error" in editor.status.plain
        editor.area.move_cursor((0, 0))
        await pilot.press("f8")
        await pilot.pause()
        assert editor.area.cursor_location[0] == 5
        assert editor.area.problems[0].message in editor.help.plain
        shown = editor.area.render_line(5 - editor.area.scroll_offset.y)
        assert "✗" in shown.text
        marked = [s.text for s in shown if s.style and s.style.underline]
        assert "".join(marked).strip() == "soon"
        editor.area.undo()
        await until(pilot, lambda: not editor.area.problems, "no findings")


async def test_the_text_is_coloured_and_code_in_it_too(shop: EngineFixture) -> None:
    async with editing(shop) as (app, pilot):
        editor = await opened(app, pilot)

        def style_of(row: int, part: str) -> str:
            strip = editor.area.render_line(row - editor.area.scroll_offset.y)
            return next(str(segment.style) for segment in strip if segment.text.strip() == part)

        await pilot.pause()
        key, number = style_of(1, "params"), style_of(2, "1756684800")
        keyword, text = style_of(18, "if"), style_of(18, '"store_sales_price"')
        assert len({key, number, keyword, text}) == 4


async def test_a_long_text_is_shown_plain_and_can_be_edited(shop: EngineFixture) -> None:
    async with editing(shop) as (app, pilot):
        editor = await opened(app, pilot)
        editor.area.show("\n".join(f"# line {i}" for i in range(4000)))
        assert editor.area.language is None
        editor.area.go((3999, 0))
        await pilot.press("x")
        assert editor.area.lines[3999] == "x# line 3999"


async def test_without_tree_sitter_the_text_is_plain(
    shop: EngineFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tree_sitter_yaml", None)
    async with editing(shop) as (app, pilot):
        editor = await opened(app, pilot)
        assert editor.area.language is None
        assert editor.area.text == MANIFEST


async def test_completion_opens_while_typing_and_inserts(shop: EngineFixture) -> None:
    async with editing(shop) as (app, pilot):
        editor = await opened(app, pilot)
        editor.area.go((5, len("  granularity: 1h")))
        await pilot.press("enter", "e", "p", "i")
        await until(pilot, lambda: editor.popup.is_open, "the list")
        assert "episodes" in [item.label for item in editor.popup.items]
        assert editor.area.has_focus
        region = editor.popup.region
        assert app.screen.region.contains_region(region)
        await pilot.press("enter")
        await until(
            pilot, lambda: editor.area.lines[6].startswith("  episodes:"), "the chosen item"
        )
        await pilot.press("escape", "ctrl+z")
        assert editor.area.lines[6] == "  epi"


async def test_the_list_goes_away_with_escape_and_the_text_stays(shop: EngineFixture) -> None:
    async with editing(shop) as (app, pilot):
        editor = await opened(app, pilot)
        editor.area.go((5, len("  granularity: 1h")))
        await pilot.press("enter", "ctrl+n")
        await until(pilot, lambda: editor.popup.is_open, "the list")
        await pilot.press("down", "up", "escape")
        assert not editor.popup.is_open
        assert editor.area.has_focus
        assert editor.area.lines[6] == "  "


async def test_keys_faster_than_the_list_insert_nothing_else(shop: EngineFixture) -> None:
    async with editing(shop) as (app, pilot):
        editor = await opened(app, pilot)
        editor.area.go((5, len("  granularity: 1h")))
        await pilot.press("enter", "e", "p", "i")
        await until(pilot, lambda: editor.popup.is_open, "the list")
        for key in ("x", "enter"):  # before the list hears of the x
            editor.area.post_message(events.Key(key, key if len(key) == 1 else None))
        await until(pilot, lambda: len(editor.area.lines[6]) > 5, "the x")
        await pilot.pause()
        assert editor.area.lines[6:8] == ["  epix", "  "]


async def test_fields_are_offered_inside_reward_code(shop: EngineFixture) -> None:
    async with editing(shop) as (app, pilot):
        editor = await opened(app, pilot)
        row = next(i for i, line in enumerate(editor.area.lines) if "reward = 1.5" in line)
        editor.area.go((row, len(editor.area.lines[row])))
        editor.area.insert_typed(' + current_state["')
        await pilot.press("s", "t", "o")
        await until(pilot, lambda: editor.popup.is_open, "the list")
        assert any("store_sales_price" in item.insert for item in editor.popup.items)


async def test_help_for_what_stands_at_the_cursor(shop: EngineFixture) -> None:
    async with editing(shop) as (app, pilot):
        editor = await opened(app, pilot)
        editor.area.go((5, 5))
        await until(pilot, lambda: "granularity" in editor.help.plain, "the help line")
        await pilot.press("f1")
        await until(pilot, lambda: isinstance(app.screen, Explanation), "the explanation")
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(app.screen, Explanation), "its end")


async def test_a_quick_fix_mends_the_line(shop: EngineFixture) -> None:
    async with editing(shop) as (app, pilot):
        editor = await opened(app, pilot)
        editor.area.change_to(MANIFEST.replace("granularity:", "granularty:"))
        await until(pilot, lambda: any(problem.fix for problem in editor.area.problems), "a fix")
        fixable = next(problem for problem in editor.area.problems if problem.fix)
        editor.area.go((fixable.line - 1, fixable.column - 1))
        await pilot.pause()
        assert "F4" in editor.help.plain
        await pilot.press("f4")
        await until(pilot, lambda: editor.checks.is_current, "the check")
        assert editor.area.text == MANIFEST


async def test_find_and_replace(shop: EngineFixture) -> None:
    async with editing(shop) as (app, pilot):
        editor = await opened(app, pilot)
        await pilot.press("ctrl+f", *"buy")
        await pilot.pause()
        assert editor.area.selected_text == "buy"
        await pilot.press("tab", *"get", "enter")
        await pilot.pause()
        assert editor.area.text.count("get") == 1
        await pilot.press("ctrl+g")
        await pilot.pause()
        assert editor.area.text == MANIFEST.replace("buy", "get")
        await pilot.press("escape")
        assert editor.area.has_focus
        await pilot.press("ctrl+z", "ctrl+z")
        assert editor.area.text == MANIFEST
        await pilot.press("ctrl+f", "ctrl+r", "(")
        await pilot.pause()
        assert editor.area.text == MANIFEST


async def test_lines_are_commented_moved_and_duplicated(shop: EngineFixture) -> None:
    async with editing(shop) as (app, pilot):
        editor = await opened(app, pilot)
        area = editor.area
        area.go((2, 4))
        await pilot.press("ctrl+underscore")
        assert area.lines[2] == "  # epoch_time: 1756684800"
        await pilot.press("ctrl+underscore", "ctrl+down")
        assert area.lines[2:4] == ["  period: 100h", "  epoch_time: 1756684800"]
        assert area.cursor_location == (3, 4)
        await pilot.press("ctrl+up", "ctrl+d")
        assert area.lines[2] == area.lines[3] == "  epoch_time: 1756684800"


async def test_one_goes_to_a_line_and_to_a_part(shop: EngineFixture) -> None:
    async with editing(shop) as (app, pilot):
        editor = await opened(app, pilot)
        editor.action_go_to_symbol("wait")
        assert "wait" in editor.area.lines[editor.area.cursor_location[0]]
        await pilot.press("ctrl+g", "3", "enter")
        await until(pilot, lambda: editor.area.cursor_location[0] == 2, "line 3")
        await pilot.press("f5", *"reward buy", "enter")
        await until(pilot, lambda: editor.area.cursor_location[0] == 16, "the reward")


async def test_a_preview_is_wanted_of_a_valid_unsaved_text_only(shop: EngineFixture) -> None:
    async with editing(shop) as (app, pilot):
        editor = await opened(app, pilot)
        editor.area.change_to(MANIFEST.replace("1.5", "2.5"))
        await until(pilot, lambda: app.heard(ManifestEditor.PreviewWanted), "a preview")
        (wanted,) = app.heard(ManifestEditor.PreviewWanted)
        assert isinstance(wanted, ManifestEditor.PreviewWanted)
        assert (wanted.pod, "2.5" in wanted.text) == ("shop", True)
        editor.area.undo()
        await until(pilot, lambda: app.heard(ManifestEditor.PreviewOver), "its end")
        editor.area.change_to("name: [")
        await until(pilot, lambda: editor.area.problems, "findings")
        assert len(app.heard(ManifestEditor.PreviewWanted)) == 1


async def test_authoring_commands_edit_the_unsaved_text(shop: EngineFixture) -> None:
    async with editing(shop) as (app, pilot):
        editor = await opened(app, pilot)
        editor.area.insert_typed("# mine\n")
        await editor.action_add_dataspace("store/stock", "local", "pieces")
        await editor.action_add_action("restock", "reward=reward = 0.5")
        text = editor.area.text
        assert text.startswith("# mine\n")
        assert "pieces" in text
        assert "restock" in text
        assert path_of(shop).read_text() == MANIFEST
        await editor.action_add_action("restock")
        assert "restock" in editor.help.plain
        await until(pilot, lambda: editor.checks.is_current, "the check")
        assert editor.checks.valid


async def test_a_file_changed_by_somebody_else_is_followed_when_nothing_was_edited(
    shop: EngineFixture,
) -> None:
    async with editing(shop) as (app, pilot):
        editor = await opened(app, pilot)
        path_of(shop).write_text(MANIFEST.replace("100h", "200h"))
        await editor.look_at_disk()
        assert "200h" in editor.area.text
        assert editor.file.state == "saved"


@pytest.mark.parametrize(
    ("key", "state", "mine", "theirs"),
    [("k", "modified", True, False), ("t", "saved", False, True), ("m", "modified", True, True)],
)
async def test_three_ways_to_go_on_when_both_sides_changed(
    shop: EngineFixture, key: str, state: str, mine: bool, theirs: bool
) -> None:
    async with editing(shop) as (app, pilot):
        editor = await opened(app, pilot)
        editor.area.change_to(MANIFEST.replace("1.5", "2.5"))
        path_of(shop).write_text(MANIFEST.replace("100h", "200h"))
        await pilot.press("ctrl+s")
        await until(pilot, lambda: isinstance(app.screen, ChooseText), "the question")
        assert "200h" in path_of(shop).read_text()
        await pilot.press("d")
        await until(pilot, lambda: isinstance(app.screen, Difference), "the difference")
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, ChooseText), "the question again")
        await pilot.press(key)
        await until(pilot, lambda: not isinstance(app.screen, ChooseText), "the answer")
        await until(pilot, lambda: editor.file.state == state, state)
        assert ("2.5" in editor.area.text, "200h" in editor.area.text) == (mine, theirs)
        await pilot.press("ctrl+s")
        await until(pilot, lambda: editor.file.state == "saved", "the save")
        assert path_of(shop).read_text() == editor.area.text


async def test_a_draft_is_offered_when_the_file_is_opened_again(
    shop: EngineFixture, tmp_path: Path
) -> None:
    drafts = Drafts(tmp_path / "drafts")
    async with editing(shop, drafts=drafts) as (app, pilot):
        editor = await opened(app, pilot)
        editor.area.insert_typed("# unsaved\n")
    assert drafts.find("spicepods/shop.yaml") is not None
    async with editing(shop, drafts=drafts) as (app, pilot):
        editor = await opened(app, pilot)
        await until(pilot, lambda: isinstance(app.screen, ChooseText), "the offer")
        await pilot.press("r")
        await until(pilot, lambda: editor.area.text.startswith("# unsaved"), "the draft")
        await pilot.press("ctrl+s")
        await until(pilot, lambda: editor.file.state == "saved", "the save")
        await until(pilot, lambda: drafts.find("spicepods/shop.yaml") is None, "no draft")


async def test_a_draft_waits_for_the_person_and_is_not_overwritten(
    shop: EngineFixture, tmp_path: Path
) -> None:
    drafts = Drafts(tmp_path / "drafts")
    draft = Draft("spicepods/shop.yaml", "# old draft\n" + MANIFEST, "gone", MANIFEST, "shop")
    drafts.keep(draft)
    async with editing(shop, drafts=drafts) as (app, pilot):
        app.screen.set_focus(None)
        editor = await opened(app, pilot)
        assert "draft" in editor.help.plain
        editor.engine_lost()
        await pilot.pause()
        assert drafts.find(draft.path) == draft
        editor.area.focus()
        await until(pilot, lambda: isinstance(app.screen, ChooseText), "the offer")
        await pilot.press("r")
        # The draft was made from another text than the file's: that is asked about as well.
        await until(pilot, lambda: editor.file.foreign, "the change")
        await until(pilot, lambda: isinstance(app.screen, ChooseText), "the question")
        await pilot.press("m")
        await until(pilot, lambda: editor.file.state == "modified", "the merge")
        assert editor.area.text == draft.text


async def test_a_question_that_was_left_is_asked_again_at_the_save_only(
    shop: EngineFixture,
) -> None:
    async with editing(shop) as (app, pilot):
        editor = await opened(app, pilot)
        editor.area.change_to(MANIFEST.replace("1.5", "2.5"))
        path_of(shop).write_text(MANIFEST.replace("100h", "200h"))
        await editor.look_at_disk()
        await until(pilot, lambda: isinstance(app.screen, ChooseText), "the question")
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(app.screen, ChooseText), "its end")
        await editor.look_at_disk()
        await pilot.pause()
        assert not isinstance(app.screen, ChooseText)
        assert "changed on disk" in editor.status.plain
        await pilot.press("ctrl+s")
        await until(pilot, lambda: isinstance(app.screen, ChooseText), "the question again")


async def test_saving_twice_at_once_is_no_change_by_somebody_else(shop: EngineFixture) -> None:
    async with editing(shop) as (app, pilot):
        editor = await opened(app, pilot)
        editor.area.insert_typed("# one\n")
        editor.action_save()
        editor.action_save()
        await pilot.pause()
        editor.area.insert_typed("# two\n")
        editor.action_save()
        await until(pilot, lambda: len(app.heard(ManifestEditor.Saved)) == 3, "three saves")
        assert editor.file.state == "saved"
        assert path_of(shop).read_text() == "# one\n# two\n" + MANIFEST


async def test_a_lost_engine_keeps_the_draft_and_says_so(
    engine: EngineFixture, tmp_path: Path
) -> None:
    path_of(engine).parent.mkdir()
    path_of(engine).write_text(MANIFEST)
    engine.start()
    drafts = Drafts(tmp_path / "drafts")
    async with editing(engine, drafts=drafts) as (app, pilot):
        editor = await opened(app, pilot)
        editor.area.insert_typed("# unsaved\n")
        engine.kill()
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "Not saved" in editor.help.plain, "what became of it")
        assert "draft is kept" in editor.help.plain
        found = drafts.find("spicepods/shop.yaml")
        assert found is not None
        assert found.text == "# unsaved\n" + MANIFEST


async def test_a_draft_that_cannot_be_kept_is_told_and_the_text_stays(
    shop: EngineFixture, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    async with editing(shop, drafts=Drafts(tmp_path / "file")) as (app, pilot):
        editor = await opened(app, pilot)
        editor.area.insert_typed("# unsaved\n")
        await until(pilot, lambda: "could not be kept" in editor.status.plain, "the warning")
        assert editor.area.text.startswith("# unsaved\n")


async def test_the_own_editor_is_lent_the_terminal(
    shop: EngineFixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "my-editor"
    script.write_text('#!/bin/sh\nsed -i "s/100h/300h/" "$1"\n')
    script.chmod(0o755)
    monkeypatch.setenv("VISUAL", str(script))
    async with editing(shop) as (app, pilot):
        editor = await opened(app, pilot)
        monkeypatch.setattr(app, "suspend", nullcontext)
        await pilot.press("ctrl+e")
        assert "300h" in editor.area.text
        assert editor.file.state == "modified"
        monkeypatch.setenv("VISUAL", "no-such-editor-here")
        await pilot.press("ctrl+e")
        assert "Set EDITOR" in editor.help.plain


async def test_a_file_that_cannot_be_written_is_read_only(shop: EngineFixture) -> None:
    async with editing(shop) as (app, pilot):
        editor = await opened(app, pilot)
        text = dataclasses.replace(
            await editor.file.read("", "spicepods/shop.yaml"), writable=False
        )
        editor.show_text(text)
        await pilot.press("x", "enter")
        assert editor.area.text == MANIFEST
        assert editor.file.state == "read-only"
        assert "read-only" in editor.status.plain


@pytest.mark.parametrize(
    ("text", "lossless"), [("a: 1\r\nb: 2\r\n", True), ("a: 1\x0cb: 2\n", False), ("", True)]
)
async def test_a_text_that_would_be_altered_cannot_be_edited(
    shop: EngineFixture, text: str, lossless: bool
) -> None:
    async with editing(shop) as (app, pilot):
        editor = await opened(app, pilot)
        editor.show_text(ManifestText("shop", "spicepods/shop.yaml", text, "1"))
        assert editor.file.state == ("saved" if lossless else "read-only")
        editor.area.insert_typed("x")
        assert editor.area.text == ("x" + text if lossless else "a: 1\nb: 2\n")


async def test_going_back_to_the_text_on_disk_can_be_undone(shop: EngineFixture) -> None:
    async with editing(shop) as (app, pilot):
        editor = await opened(app, pilot)
        editor.area.insert_typed("# mine\n")
        editor.action_revert()
        assert editor.file.state == "saved"
        editor.action_undo()
        assert editor.area.text == "# mine\n" + MANIFEST


async def test_lines_are_shown_from_their_start_when_the_cursor_allows_it(
    shop: EngineFixture,
) -> None:
    async with editing(shop, size=(40, 20)) as (app, pilot):
        editor = await opened(app, pilot)
        await pilot.press(*"# a comment that is longer than the screen is wide")
        await pilot.pause()
        assert editor.area.scroll_offset.x > 0
        await pilot.press("enter")
        await pilot.pause()
        assert editor.area.scroll_offset.x == 0
        assert editor.area.lines[0] == "# a comment that is longer than the screen is wide"


async def test_tab_indents_or_completes(shop: EngineFixture) -> None:
    async with editing(shop) as (app, pilot):
        editor = await opened(app, pilot)
        area = editor.area
        area.move_cursor((2, 0))
        area.move_cursor((4, 0), select=True)
        await pilot.press("tab")
        assert area.lines[2:4] == ["    epoch_time: 1756684800", "    period: 100h"]
        await pilot.press("shift+tab")
        assert area.text == MANIFEST
        area.go((5, len("  granularity: 1h")))
        await pilot.press("enter")
        editor.popup.close()  # it may or may not be there yet
        await pilot.press("tab")
        assert area.lines[6] == "    "
        await pilot.press("shift+tab", "e", "tab")
        await until(pilot, lambda: editor.popup.is_open, "the list")
        assert area.lines[6] == "  e"


async def test_a_file_that_was_removed_is_made_again(shop: EngineFixture) -> None:
    async with editing(shop) as (app, pilot):
        editor = await opened(app, pilot)
        path_of(shop).unlink()
        editor.area.insert_typed("# mine\n")
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "removed" in editor.help.plain, "what happened")
        assert editor.file.state == "modified"
        await pilot.press("ctrl+s")
        await until(pilot, lambda: editor.file.state == "saved", "the save")
        assert path_of(shop).read_text() == "# mine\n" + MANIFEST


async def test_previews_go_through_the_door(shop: EngineFixture) -> None:
    async with editing(shop) as (app, _):
        door, feed = app.editor.door, app.client.subscribe("previews")
        await door.preview(StartPreview("shop", MANIFEST.replace("1.5", "2.5")))
        await door.end_preview("shop")
        async for event in feed:
            if "ended" in repr(event.data):
                break
        feed.close()


async def test_it_fits_into_a_tiny_screen(shop: EngineFixture) -> None:
    async with editing(shop, size=(20, 5)) as (app, pilot):
        editor = await opened(app, pilot)
        await pilot.press("e", "p", "ctrl+n", "ctrl+f", "a", "escape", "f8")
        await pilot.pause()
        assert editor.area.size.height >= 1
