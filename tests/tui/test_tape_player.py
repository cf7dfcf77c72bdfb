"""Tapes are played on a real app, headless; screens are compared character by character."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from textual.app import App, ComposeResult
from textual.events import Resize
from textual.widgets import Input, Static, TextArea

from spice_engine.errors import NotFound, SpiceError
from spice_tui.models import clock
from spice_tui.tape.commands import InvalidTape
from spice_tui.tape.play import Options, play_file
from spice_tui.tape.results import TapeResult
from spice_tui.tape.settings_line import TapeSettings
from spice_tui.tape.stage import Stage


class Greeter(App[None]):
    """Greets whoever is typed in, a moment later; a timer runs all the time."""

    def compose(self) -> ComposeResult:
        yield Input(placeholder="name")
        yield Static("nobody", id="greeting")
        yield Static("", id="size")
        yield TextArea("text")

    def on_mount(self) -> None:
        self.ticks = 0
        self.set_interval(0.01, self.tick)

    def tick(self) -> None:
        self.ticks += 1

    def on_input_submitted(self, event: Input.Submitted) -> None:
        self.set_timer(0.05, lambda: self.greet(event.value))

    def greet(self, name: str) -> None:
        if name == "quit":
            self.exit()
        self.query_one("#greeting", Static).update(f"Hello {name}, pid {os.getpid()}")

    def on_resize(self, event: Resize) -> None:
        self.query_one("#size", Static).update(f"{event.size.width}x{event.size.height}")

    def key_f5(self) -> None:
        moment = int(clock.now())
        zone = os.environ["TZ"]
        self.query_one("#greeting", Static).update(f"{moment} {zone} {os.environ.get('WHO')}")

    def key_f6(self) -> None:
        raise RuntimeError("a defect")


def greeter(stage: Stage, settings: TapeSettings) -> App[None]:
    return Greeter()


HEAD = "Set Width 60\nSet Height 12\n"


def played(tmp_path: Path, text: str, **options: object) -> TapeResult:
    path = tmp_path / "tour.tape"
    path.write_text(HEAD + text)
    return play_file(path, greeter, Options(**options))  # type: ignore[arg-type]


def test_keys_are_typed_and_the_screen_is_awaited(tmp_path: Path) -> None:
    result = played(
        tmp_path,
        "Type 'Ada'\nExpect+Line /Ada/\nExpect! /Hello/\nEnter\nWait@5s /^Hello Ada/\n"
        "Resize 40 10\nExpect /40x10/\n",
    )
    assert result.failed is None
    assert result.ok
    assert result.steps == 9


def test_keys_with_names_and_modifiers(tmp_path: Path) -> None:
    result = played(
        tmp_path,
        "Type 'a-b c'\nBackspace\nShift+d\nHome\nType '>'\nExpect /> *a-b D|>a-b D/\n"
        "Tab\nType 'x'\nEnter\nSpace\nUp 2\nExpect /xtext|textx|x/\nCtrl+End\nAlt+x\n",
    )
    assert result.failed is None


def test_what_does_not_come_true_is_told_with_its_place_and_the_screen(tmp_path: Path) -> None:
    result = played(tmp_path, "Type 'Ada'\n  Wait@50ms /Bob/\nEnter\n")
    assert not result.ok
    failed = result.failed
    assert failed is not None
    assert (failed.line, failed.column) == (4, 3)
    assert "did not come within 0.05 s" in failed.message
    assert "Ada" in failed.screen
    assert result.steps == 3


def test_an_expectation_fails_at_once(tmp_path: Path) -> None:
    assert played(tmp_path, "Expect! /nobody/\n").failed is not None
    assert played(tmp_path, "Expect /Bob/\n").failed is not None


def test_a_screen_that_closes_is_told(tmp_path: Path) -> None:
    result = played(tmp_path, "Type 'quit'\nEnter\nWait /nothing/\nEnter\n")
    assert result.failed is not None
    assert "closed" in result.failed.message


def test_an_app_that_breaks_fails_the_tape(tmp_path: Path) -> None:
    failed = played(tmp_path, "F6\nWait /x/\n").failed
    assert failed is not None
    assert failed.message == "the app broke: RuntimeError: a defect"
    assert failed.line in (3, 4)


SHOT = "Mask /pid [0-9]+/ 'pid N'\nType 'Ada'\nEnter\nWait /Hello/\nScreenshot greeting\n"


def test_screens_are_stored_and_compared(tmp_path: Path) -> None:
    missing = played(tmp_path, SHOT)
    assert [(shot.name, shot.status) for shot in missing.screenshots] == [("greeting", "missing")]
    assert not missing.ok
    assert played(tmp_path, SHOT, update=True).screenshots[0].status == "new"
    folder = tmp_path / "snapshots" / "tour"
    text = (folder / "greeting.txt").read_text()
    assert "Hello Ada, pid N\n" in text
    picture = (folder / "greeting.svg").read_text()
    assert "http" not in picture.replace("http://www.w3.org", "").replace(
        "https://www.textualize.io", ""
    )
    again = played(tmp_path, SHOT)
    assert again.screenshots[0].status == "same"
    assert again.ok


def test_a_difference_is_shown_with_its_region(tmp_path: Path) -> None:
    played(tmp_path, SHOT, update=True)
    result = played(tmp_path, SHOT.replace("Ada", "Bob"))
    shot = result.screenshots[0]
    assert shot.status == "differs"
    assert "-Hello Ada, pid N" in shot.difference
    assert "+Hello Bob, pid N" in shot.difference
    assert "Rows 2 to 4, columns 4 to 9 differ." in shot.difference
    assert "4 was lo Ada\n     now lo Bob" in shot.difference
    assert result.as_dict()["screenshots"] == [{"name": "greeting", "status": "differs"}]


def test_a_picture_that_differs_alone_is_told_as_such(tmp_path: Path) -> None:
    played(tmp_path, SHOT, update=True)
    path = tmp_path / "snapshots" / "tour" / "greeting.svg"
    path.write_text(path.read_text().replace("fill: #", "fill: #0", 1))
    shot = played(tmp_path, SHOT).screenshots[0]
    assert shot.status == "colours"
    assert "text is the same" in shot.difference


def test_left_over_snapshots_are_told_and_removed(tmp_path: Path) -> None:
    played(tmp_path, SHOT, update=True)
    renamed = SHOT.replace("Screenshot greeting", "Screenshot hello")
    result = played(tmp_path, renamed)
    assert ("greeting", "left over") in [(s.name, s.status) for s in result.screenshots]
    played(tmp_path, renamed, update=True)
    assert played(tmp_path, renamed).ok


def test_only_one_screenshot_is_compared(tmp_path: Path) -> None:
    result = played(tmp_path, SHOT + "Screenshot other\n", only="other", update=True)
    assert [shot.name for shot in result.screenshots] == ["other"]


def test_the_surroundings_are_the_same_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    result = played(
        tmp_path, "Set Clock 2026-01-01T00:00:00Z\nEnv WHO 'Ada'\nF5\nExpect /1767225600 UTC Ada/\n"
    )
    assert result.failed is None
    assert os.environ["NO_COLOR"] == "1"
    assert os.environ["TZ"] == "Asia/Tokyo"
    assert "WHO" not in os.environ
    assert not clock.is_frozen()


def test_output_holds_the_screens_that_were_awaited(tmp_path: Path) -> None:
    tape = "Output all.txt\nOutput last.svg\nMask /pid [0-9]+/ 'pid N'\nWait /nobody/\nHide\n" + (
        "Type 'Ada'\nEnter\nWait /Hello/\nShow\nScreenshot end\n"
    )
    assert played(tmp_path, tape, update=True).failed is None
    screens = (tmp_path / "all.txt").read_text().split("─" * 40)
    assert len(screens) == 2
    assert "Hello Ada, pid N" in screens[1]
    assert "Hello" in (tmp_path / "last.svg").read_text()
    assert played(tmp_path, tape).ok


def test_command_lines_run_in_the_folder(tmp_path: Path) -> None:
    result = played(tmp_path, "Run 'spice-tui version'\nWait /nobody/\nRun 'spice-tui nothing' 2\n")
    assert result.failed is None
    bad = played(tmp_path, "Run 'spice-tui nothing'\n")
    assert bad.failed is not None
    assert "ended with 2" in bad.failed.message


def test_tapes_are_put_together(tmp_path: Path) -> None:
    (tmp_path / "part.tape").write_text("Type 'Ada'\nEnter\n")
    assert played(tmp_path, "Source part.tape\nWait /Hello Ada/\n").failed is None
    (tmp_path / "part.tape").write_text("Source tour.tape\n")
    with pytest.raises(InvalidTape, match="cannot play itself"):
        played(tmp_path, "Source part.tape\n")
    with pytest.raises(NotFound):
        played(tmp_path, "Source nowhere.tape\n")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("Enter\nSet Width 100\n", "top of the tape"),
        ("Require no-such-program-anywhere\n", "not on this machine"),
        ("Set Engine live\n", "-C DIR"),
        ("Set Engine fixture nowhere\n", "there is no folder"),
        ("Set Engine recording nowhere\n", "there is no recording"),
        ("Screenshot a\nScreenshot a\n", "two screenshots"),
    ],
)
def test_what_cannot_be_played_is_refused(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(SpiceError, match=says):
        played(tmp_path, text)
