"""The view of runs, on a real engine: what stands in it, what is done in it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from spice_tui.screens.pages.run_pages import RunChartsPage, RunOutputsPage
from spice_tui.screens.runs_view import RunsView
from tests.conftest import EngineFixture
from tests.tui.app_driver import Driver, open_app


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineFixture]:
    base = tmp_path_factory.mktemp("runs-view")
    (base / "app").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(base / "state-home"))
        fixture = EngineFixture(base / "app")
        fixture.start()
        with fixture.client() as client:
            client.call("projects.create", {"name": "Digits"})
            line = "echo a line of the log; mkdir deep; echo left > deep/left.txt"
            for lr, depth in (("0.5", 3), ("0.01", 7)):
                params = {"lr": lr, "depth": depth}
                request = {"command": line, "params": params, "labels": ["good"]}
                made = client.call("runs.start", {**request, "project": "digits"})
                points = [{"name": "loss", "value": float(lr), "index": 0}]
                client.call("runs.add_metrics", {"id": made["id"], "points": points})
            client.call("runs.start", {"command": "sleep 300", "machine_type": "cpu-huge"})
            client.call("runs.start", {"command": "sleep 301", "machine_type": "cpu-huge"})
        yield fixture
        fixture.stop()


@pytest.fixture
async def opened(engine: EngineFixture) -> AsyncIterator[Driver]:
    async with open_app(engine, (180, 50), view="runs") as driver:
        await driver.shows("sleep 301")
        yield driver


def view_of(driver: Driver) -> RunsView:
    view = driver.app.current_view
    assert isinstance(view, RunsView)
    return view


def rows(driver: Driver) -> list[str]:
    return [row.key for row in view_of(driver).table.table.model.rows]


async def test_parameters_reasons_and_what_is_known(opened: Driver) -> None:
    view = view_of(opened)
    await opened.until(lambda: rows(opened) == ["4", "3", "2", "1"], "all runs")
    keys = [column.key for column in view.table.table.model.columns]
    assert keys.index("depth") < keys.index("lr") < keys.index("labels")
    assert "kind" not in keys  # all of them are plain runs
    await opened.shows("waits for")  # why the fourth does not begin
    # Filters and sorts go over parameters as over all else.
    table = view.table.table
    table.set_filter("lr<0.1 state=success label:good")
    assert table.model.filter.problem != ""  # the column is called labels
    table.set_filter("lr<0.1 labels:good")
    assert rows(opened) == ["2"]
    table.set_filter("")
    table.go_to("1")
    await opened.shows("depth = 3", "stages", "snapshot")


async def test_log_metrics_and_outputs_stand_beside(opened: Driver) -> None:
    view = view_of(opened)
    view.table.table.go_to("1")
    await opened.shows("a line of the log")
    await opened.command("beside charts")
    assert isinstance(view.deck.top, RunChartsPage)
    await opened.shows("loss")
    await opened.command("beside outputs")
    page = view.deck.top
    assert isinstance(page, RunOutputsPage)
    await opened.shows("deep/")
    page.table.table.focus()
    await opened.press("enter")
    await opened.shows("left.txt")
    assert opened.app.run_number == 1
    await opened.press("backspace")
    await opened.shows("deep/")
    await opened.command("beside nothing")
    await opened.until(lambda: any("none of" in text for text in opened.said), "a refusal")
    await opened.command("beside log")


async def test_labels_projects_and_what_is_out_of_sight(opened: Driver) -> None:
    view = view_of(opened)
    view.table.table.go_to("1")
    await opened.command("label checked")
    await opened.until(lambda: "checked" in opened.app.world.runs[1].labels, "the label")
    await opened.command("unlabel checked")
    await opened.until(lambda: opened.app.world.runs[1].labels == ["good"], "the label is gone")
    await opened.command("project DIGITS")
    await opened.until(lambda: rows(opened) == ["2", "1"], "the project's runs")
    await opened.shows("2 runs: 2 complete", "loss  lowest  0.01  in run 2  of 2 runs")
    await opened.command("archive 1")
    await opened.until(lambda: rows(opened) == ["2"], "the rest")
    await opened.shows("1 run: 1 complete", "in run 2  of 1 run")  # it goes with its runs
    await opened.command("project")
    await opened.until(lambda: rows(opened) == ["4", "3", "2"], "all again")
    await opened.until(lambda: "in run 2  of" not in opened.text, "no project")
    # Marked ones are dealt with together; keys elsewhere are on the run that is on show there.
    view.table.table.go_to("4")
    view.table.table.focus()
    await opened.press("space", "space")
    await opened.command("label both")
    await opened.says("Runs 4, 3 are labelled both now.")
    await opened.press("K")
    await opened.shows("runs 4, 3 are killed: u takes back (1)")
    await opened.press("u")
    await opened.says("Taken back")
    await opened.press("k", "k", "space", "space")
    assert not view.table.table.model.marks
    await opened.command("log 2")
    await opened.until(lambda: opened.app.run_number == 2, "the run of the log")
    await opened.press("X")
    await opened.says("run 2 has ended: success.")
    await opened.press("2")
    await opened.until(lambda: view.table.table.model.value("id") == "2", "the cursor there")
    # Run again: as it was asked for, or with changes.
    await opened.command("rerun lr")
    await opened.says("'lr' is no NAME=VALUE.")
    view.table.table.go_to("2")
    await opened.until(lambda: opened.app.run_number == 2, "the second run")
    await opened.command("rerun lr=0.02")
    await opened.until(lambda: rows(opened)[:1] == ["5"], "another run")
    await opened.until(lambda: opened.app.world.runs[5].outcome == "success", "its end")
    again = opened.app.world.runs[5]
    assert (again.params, again.labels, again.project) == (
        {"lr": "0.02", "depth": 7},
        ["good"],
        "Digits",
    )


async def test_what_is_known_of_a_run_scrolls_and_its_keys_work(engine: EngineFixture) -> None:
    """On a small terminal a pane is alone: without the focus no key of the view would work."""
    async with open_app(engine, (60, 14), view="runs") as driver:
        await driver.until(lambda: len(driver.app.world.runs) >= 4, "the runs")
        view = view_of(driver)
        view.table.table.go_to("2")
        await driver.until(lambda: driver.app.run_number == 2, "the second run")
        await driver.press("shift+tab")
        await driver.shows("About", "run ", "L Log", "▼")
        assert "project" not in driver.text
        await driver.press("G")
        await driver.shows("project", "▲")
        await driver.press("k", "home")
        await driver.shows("outcome")
        await driver.press("H")
        await driver.shows("No search yet.")
        await driver.press("escape")
        await driver.until(lambda: view.pane is view.query_one("#run-details"), "the details")
        await driver.press("b")
        await driver.shows("◆Log", "a line of the log")
        await driver.press("b")
        await driver.shows("◆Metrics")
