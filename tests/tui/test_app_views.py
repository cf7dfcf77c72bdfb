"""Everything that can be looked at, on one engine with two trained pods."""

from __future__ import annotations

import contextlib
import csv
import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from spice_tui.actions import OF_APP, table
from spice_tui.screens.help import HelpScreen
from spice_tui.screens.jump import JumpScreen
from spice_tui.screens.palette import Palette
from spice_tui.screens.recommendation import RecommendationScreen
from spice_tui.widgets.pane import Deck
from spice_tui.widgets.timeline import DecisionTimeline
from tests.conftest import EngineFixture, wait_for
from tests.tui.app_driver import Driver, open_app

pytestmark = pytest.mark.asyncio(loop_scope="module")

VIEWS = ("pods", "runs", "trials", "models", "servers", "resources", "logs", "metrics", "sql")
PODS = ("gardener", "serverops")


@pytest.fixture(scope="module")
def folder(shared_engine: EngineFixture) -> EngineFixture:
    """An engine with two sample pods, trained, and one run that has ended."""
    with shared_engine.client() as client:
        for pod in PODS:
            client.call("packages.add", {"reference": f"samples/{pod}"})
        run = client.call("runs.start", {"command": "echo hello from a run"})["id"]

        def ready() -> bool:
            pods = client.call("pods.list")["pods"]
            runs = client.call("runs.list")["runs"]
            trained = {pod["name"] for pod in pods if pod["policy_version"] and not pod["training"]}
            return trained >= set(PODS) and any(r["id"] == run and r["outcome"] for r in runs)

        wait_for(ready, "two trained pods and a run that ended", 60)
    return shared_engine


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def opened(folder: EngineFixture) -> AsyncIterator[Driver]:
    """The app on it, opened once for all that only look."""
    async with open_app(folder, (160, 50)) as driver:
        yield driver


@pytest_asyncio.fixture(loop_scope="module")
async def one(opened: Driver) -> Driver:
    """The app, back where it began: the cursor on gardener in the list of pods, nothing said."""
    app = opened.app
    while len(app.screen_stack) > 1 or app.prompt.display:
        await opened.press("escape")
    app.execute(":pods")
    await opened.until(lambda: app.view_name == "pods", "the pods")
    app.execute(":goto gardener")
    await opened.until(lambda: app.pod == "gardener", "gardener")
    app.current_view.panes[0].focus_inside()
    await opened.until(lambda: app.current_view.panes[0].has_focus_within, "the focus in the list")
    app.clear_notifications()
    return opened


def deck(one: Driver) -> Deck:
    return one.app.query_one(Deck)


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)], ids=str)
async def test_each_view_opens(folder: EngineFixture, size: tuple[int, int]) -> None:
    async with open_app(folder, size) as one:
        for number, name in enumerate(VIEWS, 1):
            await one.press(str(number))
            await one.until(lambda name=name: one.app.view_name == name, f"view {name}")
            assert f" {number} " in one.text.splitlines()[0]
            # In an input digits are text.
            if name != "sql":
                assert one.app.current_view.has_focus_within, name
        await one.command(":back")
        assert one.app.view_name == "metrics"


async def test_the_views_tell_about_the_pods(one: Driver) -> None:
    await one.shows("gardener", "serverops", "127.0.0.1:")
    for view, texts in {
        "runs": ("echo hello from a run",),
        "trials": ("gardener", "serverops", "complete"),
        "models": ("latest",),
        "servers": ("recommendations", "/recommendation"),
        "resources": ("garden.csv", "metrics.csv"),
        "logs": ("engine",),
        "metrics": ("echo hello from a run",),
    }.items():
        await one.command(f":{view}")
        await one.shows(*texts)


async def test_the_manifest_follows_the_chosen_pod(folder: EngineFixture) -> None:
    async with open_app(folder) as one:
        editor = one.app.query_one("ManifestEditor")
        await one.until(lambda: "gardener" in editor.area.text, "gardener's manifest")
        await one.press("j")
        await one.until(lambda: "serverops" in editor.area.text, "serverops' manifest")
        assert one.app.pod == "serverops"
        await one.command(":goto gardener")
        await one.until(lambda: "gardener" in editor.area.text, "gardener's manifest again")
        await one.press("e")
        await one.until(lambda: editor.has_focus_within, "the focus in the editor")
        await one.type("q1")
        assert one.app.view_name == "pods", "letters are text there"
        await one.press("escape")
        await one.until(lambda: not editor.has_focus_within, "the focus back at the pods")


async def test_a_command_that_there_is_not(one: Driver) -> None:
    await one.command(":trian")
    await one.says("Did you mean :train?")
    await one.command(":goto nobody")
    await one.says("there is no pod 'nobody'. Pods: gardener, serverops.")
    await one.command(":write x.pdf")
    await one.says("It ends in .csv, .json, .parquet.")
    await one.command(":alias good")
    await one.says("It goes :alias NAME VERSION.")
    await one.command(":stop 4711")
    await one.says("there is no run 4711")
    await one.command(":stop x")
    await one.says("'x' is no run")


async def test_the_line_keeps_the_focus_and_the_history(one: Driver) -> None:
    await one.until(lambda: one.app.focused is not None, "a focus")
    before = one.app.focused
    await one.press("colon")
    await one.until(lambda: one.app.prompt.has_focus, "the command line")
    await one.press("escape")
    await one.until(lambda: one.app.focused is before, "the focus back where it was")
    await one.command(":clashes")
    await one.says("No key has two meanings")
    await one.until(lambda: one.app.focused is before, "the focus back where it was")
    await one.press("colon", "up")
    await one.until(lambda: one.app.prompt.value == ":clashes", "what was typed before")
    await one.press("escape")
    await one.until(lambda: not one.app.prompt.display, "the line gone")


async def test_the_palette_finds_and_does(one: Driver) -> None:
    await one.press("ctrl+p")
    await one.until(lambda: isinstance(one.app.screen, Palette), "the palette")
    await one.press("ctrl+p")
    assert len(one.app.screen_stack) == 2, "it opens once"
    await one.type("metri")
    await one.press("enter")
    await one.until(lambda: one.app.view_name == "metrics", "the view metrics")
    await one.press("ctrl+p")
    await one.until(lambda: isinstance(one.app.screen, Palette), "the palette")
    await one.type("serverops")
    await one.press("enter")
    await one.until(lambda: one.app.pod == "serverops", "the pod chosen")
    await one.press("ctrl+p")
    await one.until(lambda: isinstance(one.app.screen, Palette), "the palette")
    await one.press("escape")
    assert len(one.app.screen_stack) == 1


async def test_help_lists_all_keys(one: Driver) -> None:
    await one.press("question_mark")
    await one.until(lambda: isinstance(one.app.screen, HelpScreen), "help")
    await one.shows("Keys and commands", "In a table")
    await one.press("j", "k", "q")
    assert len(one.app.screen_stack) == 1, "q leaves the help, not the app"


async def test_zoom_shows_one_pane(one: Driver) -> None:
    view = one.app.current_view
    shown = lambda: [pane.id for pane in view.panes if pane.region.area]  # noqa: E731
    await one.until(lambda: len(shown()) == 6, "six panes")
    await one.press("z")
    await one.until(lambda: shown() == ["pods"], "the pane with the focus")
    await one.press("tab")
    await one.until(lambda: shown() == ["manifest"], "the next pane")
    await one.press("f7", "z")
    await one.until(lambda: len(shown()) == 6, "six panes again")


async def test_a_small_terminal_shows_one_pane_after_the_other(folder: EngineFixture) -> None:
    async with open_app(folder, (80, 24)) as one:
        view = one.app.current_view
        seen: list[str | None] = []
        for _ in view.panes:
            await one.until(lambda: len([p for p in view.panes if p.region.area]) == 1, "one pane")
            (pane,) = [p for p in view.panes if p.region.area]
            seen.append(pane.id)
            await one.press("f6")
        assert len(set(seen)) == len(view.panes)
        await one.pilot.resize_terminal(140, 45)
        await one.until(lambda: all(p.region.area for p in view.panes), "all panes")


async def test_jumping(one: Driver) -> None:
    await one.press("apostrophe")
    await one.until(lambda: isinstance(one.app.screen, JumpScreen), "letters")
    await one.press("d")
    pane = one.app.current_view.panes[2]
    await one.until(lambda: pane.has_focus_within, "the third pane with the focus")
    await one.press("apostrophe", "escape")
    assert len(one.app.screen_stack) == 1


async def test_sizes_are_changed_and_reset(one: Driver) -> None:
    pane = one.app.current_view.panes[0]
    await one.until(lambda: pane.has_focus_within, "the focus at the pods")
    width = pane.outer_size.width
    await one.press("greater_than_sign")
    await one.until(lambda: pane.outer_size.width > width, "a wider pane")
    await one.command(":reset-sizes")
    await one.until(lambda: pane.outer_size.width == width, "its own width")


async def test_a_question_in_sql(one: Driver) -> None:
    await one.command(":sql SELECT 1 AS a, 'x' AS b")
    await one.shows("1 row", " a ", " b ")
    one.app.execute(":sql SELECT nonsense")  # in the line of questions letters are text
    await one.shows("nonsense", "no such column")
    one.app.execute(":sql")
    await one.shows("CREATE TABLE")


async def test_a_log_that_begins_while_the_logs_are_on_show(
    one: Driver, folder: EngineFixture
) -> None:
    logs = folder.location.state / "trainers"
    with contextlib.suppress(FileNotFoundError):
        (logs / "searcher-3.log").unlink()
    await one.command(":logs")
    await one.shows("The engine")
    (logs / "searcher-3.log").write_text("it began\n")
    await one.shows("searcher-3")
    (logs / "searcher-3.log").unlink()
    await one.until(lambda: "searcher-3" not in one.text, "it to be gone")


async def test_tables_are_written_to_files(one: Driver, folder: EngineFixture) -> None:
    await one.command(":sql SELECT 7 AS seven, 'a,b' AS text")
    await one.shows("seven")
    one.app.execute(":write out.csv")
    await one.says("out.csv")
    one.app.execute(":write deep/out.json")
    await one.says("deep/out.json")
    one.app.execute(":write ../out.csv")
    await one.until(lambda: len(one.said) == 3, "a refusal")
    one.app.execute(":write out.csv")
    await one.until(lambda: len(one.said) == 4, "a refusal to overwrite")
    root = folder.location.root
    with (root / "out.csv").open(newline="") as file:
        assert list(csv.reader(file)) == [["seven", "text"], ["7", "a,b"]]
    assert json.loads((root / "deep" / "out.json").read_text())
    assert not (root.parent / "out.csv").exists()


async def test_the_pages_of_a_pod(one: Driver) -> None:
    for key, page, texts in (
        ("T", "timeline", ()),
        ("W", "stepper", ("reward",)),
        ("v", "evaluation", ("held out",)),
        ("o", "data", ("rows", "time")),
        ("i", "notes", ("Nothing was said",)),
    ):
        await one.press(key)
        await one.until(lambda page=page: deck(one).page == page, page)
        await one.shows(*texts)
        await one.press("tab", "shift+tab")
    await one.command(":graph serverops")
    await one.until(lambda: deck(one).page == "graph", "the reward graph")
    assert one.app.pod == "serverops"
    await one.shows("Regret closed")
    await one.press("full_stop")
    await one.until(lambda: deck(one).page == "timeline", "the next page")
    await one.press("comma", "comma")
    await one.until(lambda: deck(one).page == "notes", "the page before the first")


async def test_a_step_named_on_the_line_is_shown(one: Driver) -> None:
    await one.command(":stepper gardener 5")
    await one.shows("Step 6 of")  # rows are counted from 0, steps from 1
    await one.command(":stepper gardener x")
    await one.says("'x' is no row")


async def test_the_timeline_leads_to_the_step(one: Driver) -> None:
    await one.press("T")
    await one.until(lambda: one.app.query(DecisionTimeline), "the timeline")
    timeline = one.app.query_one(DecisionTimeline)
    await one.until(lambda: timeline.has_focus, "the focus at the timeline")
    await one.press("l", "enter")
    await one.until(lambda: deck(one).page == "stepper", "the steps")


async def test_notes_are_added(one: Driver) -> None:
    await one.press("i")
    await one.shows("Nothing was said")
    await one.command(":interpret 1756688400 1756692000 'a quiet night' calm")
    await one.says("a quiet night")
    await one.shows("2025-09-01 01:00:00", "calm")  # at once, where one looks


async def test_what_a_pod_recommends(one: Driver) -> None:
    await one.press("r")
    await one.until(lambda: isinstance(one.app.screen, RecommendationScreen), "the answer")
    await one.shows("gardener recommends", "confidence", "value of each action", "curl 'http")
    await one.press("c")
    await one.press("escape")
    assert len(one.app.screen_stack) == 1
    await one.command(":recommend gardener soon")
    await one.says("'soon' is no time")
    await one.command(":recommend serverops 12")
    await one.until(
        lambda: len(one.app.screen_stack) == 2 or len(one.said) > 1, "an answer or why not"
    )


async def test_lineage_and_its_things(one: Driver) -> None:
    await one.press("x")
    await one.shows("What came from what", "gardener")
    await one.press("escape")
    await one.command(":lineage gardener")
    await one.shows("What came from what")
    await one.press("enter")
    await one.until(lambda: len(one.app.screen_stack) == 1, "the thing that was opened")


async def test_enter_in_each_list(one: Driver) -> None:
    for view in VIEWS[1:7]:
        one.app.execute(f":{view}")
        await one.until(lambda view=view: one.app.view_name == view, f"the view {view}")
        await one.until(lambda: one.app.current_view.has_focus_within, "the focus there")
        await one.press("enter")
        while len(one.app.screen_stack) > 1:
            await one.press("escape")
        await one.press("escape")
        assert one.app.is_running


async def test_each_action_says_why_it_cannot_be_done(folder: EngineFixture) -> None:
    """None of the keys ends the app, wherever it is pressed."""
    skipped = {"app.quit", "app.detach", "app.engine_stop", "app.engine_restart", "app.report"}
    async with open_app(folder) as one:
        for action in table().values():
            if action.context not in OF_APP or action.id in skipped or not action.keys:
                continue
            await one.press(action.keys[0])
            while len(one.app.screen_stack) > 1:
                await one.press("escape")
            # Back to where it began; what it asked for is taken back.
            back = ["escape", *("1" if one.app.view_name != "pods" else "")]
            await one.press(*back, *("u" if len(one.app.pending) else ""))
        assert one.app.is_running
