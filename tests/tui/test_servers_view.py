"""Servers, models and resources on the screen, over a real engine with a small real server."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from spice_tui.screens.form import Form
from spice_tui.screens.models_view import ModelsView
from spice_tui.screens.pages.server_pages import RequestPage
from spice_tui.screens.resources_view import ResourcesView
from spice_tui.screens.servers_view import ServersView
from spice_tui.widgets.composer import Composer
from tests.conftest import EngineFixture, wait_for
from tests.tui.app_driver import Driver, open_app

SCRIPT = '''
from spice_runtime import BasePredictor


class Predictor(BasePredictor):
    """Doubles."""

    def __init__(self):
        print("the predictor is made", flush=True)

    def predict(self, payload):
        return {"product": payload["x"] * 2}
'''


@pytest.fixture(scope="module")
def folder(shared_engine: EngineFixture) -> EngineFixture:
    """An engine with the server `times`, which has been asked, a run and a model of its output."""
    root = shared_engine.location.root
    (root / "serve.py").write_text(SCRIPT)
    with shared_engine.client() as client:
        client.call("pods.init", {"name": "idle"})
        definition = {"name": "times", "entrypoint": "serve.py"}
        info = client.call("servers.serve", {"definition": definition, "wait": True}, timeout=60)
        assert info["state"] == "running", info["message"]
        answer = client.call("servers.predict", {"server": "times", "payload": {"x": 1}})
        assert answer["status"] == 200
        run = client.call("runs.start", {"command": "echo weights > weights.txt"})["id"]

        def over() -> bool:
            return client.call("runs.get", {"id": run})["outcome"] == "success"

        wait_for(over, "the run to end")
        client.call("models.create", {"name": "small", "resource": "serve.py"})
    return shared_engine


def servers_view(one: Driver) -> ServersView:
    view = one.app.current_view
    assert isinstance(view, ServersView)
    return view


async def at_once(one: Driver) -> None:
    """Do what waits to be taken back, as leaving the app does."""
    for deed in one.app.pending.all():
        await deed.do()


async def test_the_list_says_how_a_server_does(folder: EngineFixture) -> None:
    async with open_app(folder, (160, 50), view="servers") as one:
        await one.shows("times", "running", "1/1", "p99 ms", "/local/times/predict")
        row = servers_view(one).table.table.model.row_of("server/times")
        assert row is not None
        assert row.values["version"] == 1
        assert row.values["kind"] == "server"


async def test_the_overview_shows_pods_of_servers(folder: EngineFixture) -> None:
    async with open_app(folder, (120, 40)) as one:
        await one.shows("times 1", "p99 ms")


async def test_one_server(folder: EngineFixture) -> None:
    async with open_app(folder, (160, 50), view="servers") as one:
        await one.shows("running")
        await one.press("enter")
        await one.shows(
            "running, version 1, 1 of 1 pods, 1 to 5 allowed",
            "rollout: version 1 done",
            "scaling: not changed yet",
            "ready",
            "requests per second",
        )
        await one.press("tab", "full_stop")
        await one.shows("POST http://", "ctrl+s sends")
        await one.press("escape", "full_stop")
        await one.shows("serving", "serve.py")
        await one.press("full_stop")
        await one.shows("the predictor is made")
        await one.press("backspace")
        await one.until(lambda: servers_view(one).opened_server is None, "the list again")
        await one.until(lambda: servers_view(one).table.table.has_focus, "the list has the keys")


async def test_a_request_is_composed_checked_and_sent(folder: EngineFixture) -> None:
    async with open_app(folder, (160, 50)) as one:
        await one.until(lambda: "times" in one.app.world.servers, "the server")
        await one.command(":predict times")
        await one.until(lambda: one.app.query(Composer), "the composer")
        composer = one.app.query_one(Composer)
        await one.until(lambda: composer.has_focus_within, "the focus in the text")
        await one.press("ctrl+a", "ctrl+k")
        await one.press("delete", "delete")
        await one.press("left_curly_bracket", "quotation_mark", "x", "quotation_mark", "colon")
        await one.shows("Expecting value (line 1, column 6)")
        await one.press("ctrl+s")
        assert composer.answer == "", "what is no JSON is not sent"
        await one.press("2", "1", "right_curly_bracket", "ctrl+s")
        await one.until(lambda: composer.answer, "the answer")
        assert json.loads(composer.answer) == {"product": 42}
        await one.shows("200, application/json", '"product": 42')
        await one.press("escape")
        await one.command(":servers")
        await one.command(":predict times")
        await one.until(lambda: one.app.query(RequestPage), "the page again")
        assert one.app.query_one(Composer).text == '{"x":21}'
        await one.press("escape", "Y")
        await one.says("The curl command")


async def test_what_the_predictor_refuses_is_shown(folder: EngineFixture) -> None:
    async with open_app(folder, (160, 50)) as one:
        await one.until(lambda: "times" in one.app.world.servers, "the server")
        await one.command(":predict times")
        await one.until(lambda: one.app.query(Composer), "the composer")
        composer = one.app.query_one(Composer)
        composer.begin("POST", "[]")
        composer.action_send()
        await one.until(lambda: composer.answer, "the answer")
        await one.shows("500")


async def test_serving_asks_for_the_rest_and_says_what_is_wrong(folder: EngineFixture) -> None:
    async with open_app(folder, (160, 50)) as one:
        await one.command(":serve serve.py")
        await one.until(lambda: isinstance(one.app.screen, Form), "the form")
        await one.shows("serve.py", "Pods, least-most")
        await one.press("ctrl+u", "B", "a", "d", "space", "n", "ctrl+s")
        await one.shows("Bad n")
        await one.until(lambda: "name" in one.text and isinstance(one.app.screen, Form), "why not")
        await one.press("ctrl+u", *"second", "ctrl+s")
        await one.says("Server second starts")
        await one.until(lambda: one.app.view_name == "servers", "the servers")
        row = lambda: servers_view(one).table.table.model.row_of("server/second")  # noqa: E731
        await one.until(lambda: (r := row()) and r.values["state"] == "running", "it runs")
        await one.command(":scale second 2 3")
        await one.says("Server second: 2 to 3 pods")
        await one.until(lambda: (r := row()) and r.values["pods"] == "2/2", "two pods")
        await one.command(":remove-server second")
        await one.press("u")
        await one.says("Taken back: server second is removed")
        await one.command(":stop-server second")
        await at_once(one)
        await one.until(lambda: (r := row()) and r.values["state"] == "stopped", "it stops")
        await one.command(":stop-server second")
        await one.says("server second is stopped already")
        await one.command(":server second")
        await one.until(lambda: servers_view(one).opened_server, "the server")
        await one.command(":remove-server second")
        await at_once(one)
        await one.until(lambda: row() is None, "it is gone")
        await one.until(lambda: servers_view(one).opened_server is None, "the list again")


async def test_code_is_updated_and_rolled_back(folder: EngineFixture) -> None:
    script = folder.location.root / "serve.py"
    async with open_app(folder, (160, 50), view="servers") as one:
        await one.until(lambda: "times" in one.app.world.servers, "the server")
        script.write_text(SCRIPT.replace("* 2", "* 3"))
        await one.press("U")
        await one.until(lambda: _version(one) == (2, "running"), "version 2")
        await one.command(":rollback-server times 1")
        await at_once(one)
        await one.until(lambda: _version(one)[0] != 2, "another version", 30)
        await one.until(lambda: _version(one)[1] == "running", "it runs again")
        script.write_text(SCRIPT)


def _version(one: Driver) -> tuple[int, str]:
    info = one.app.world.servers["times"]
    return info.version, info.state


async def test_one_server_on_a_small_terminal(folder: EngineFixture) -> None:
    async with open_app(folder, (80, 24), view="servers") as one:
        await one.shows("times")
        await one.press("enter")
        await one.shows("running, version", "ready")
        await one.press("tab")
        await one.shows("requests per second", "Crosshair right")
        await one.press("tab")
        await one.shows("running, version")
        await one.press("escape")
        await one.shows("p99 ms", "idle")


async def test_keys_mean_what_the_cursor_is_on(folder: EngineFixture) -> None:
    async with open_app(folder, (160, 50), view="servers") as one:
        await one.shows("X Stop server")
        await one.press("G")
        await one.shows("pod endpoint", "t Train")
        await one.press("X")
        assert not one.app.pending, "nothing is stopped that is not chosen"
        await one.press("V")
        await one.until(lambda: isinstance(one.app.screen, Form), "the form")
        await one.shows("idle:latest")
        await one.press("escape")
        await one.press("slash", *"kind", "colon", *"server", "enter")
        await one.until(lambda: "idle" not in one.text, "the server alone")


async def test_logs_of_pods(folder: EngineFixture) -> None:
    async with open_app(folder, (160, 50), view="servers") as one:
        await one.until(lambda: "times" in one.app.world.servers, "the server")
        await one.press("R")
        await one.says("times keeps no log of its requests")
        await one.press("L")
        await one.until(lambda: one.app.view_name == "logs", "the logs")
        await one.shows("the predictor is made")


async def test_models_with_their_versions(folder: EngineFixture) -> None:
    async with open_app(folder, (160, 50), view="models") as one:
        await one.shows("small", "files", "v1", "serve.py", "Versions of small")
        view = one.app.current_view
        assert isinstance(view, ModelsView)
        await one.press("enter")
        await one.command(":alias-model production")
        await one.says("small: production is v1 now")
        await one.shows("@production")
        await one.command(":describe-model 'What it is for.'")
        await one.shows("What it is for.")
        await one.command(":download-model copied")
        await one.says("files were written")
        assert any((folder.location.root / "copied").rglob("serve.py"))
        await one.press("V")
        await one.until(lambda: isinstance(one.app.screen, Form), "the form to serve it")
        await one.shows("small:v1")
        await one.press("ctrl+s")
        await one.shows("what serves it is missing")
        await one.press("escape")


async def test_a_model_of_a_run_and_its_end(folder: EngineFixture) -> None:
    async with open_app(folder, (160, 50), view="runs") as one:
        await one.shows("echo weights")
        await one.press("M")
        await one.until(lambda: isinstance(one.app.screen, Form), "the form")
        await one.shows("runs/1")
        await one.press(*"weights", "ctrl+s")
        await one.says("Model weights: version v1 was made")
        await one.command(":models")
        await one.shows("weights", "run 1")
        await one.command(":remove-model weights")
        await at_once(one)
        await one.until(lambda: "weights" not in one.app.world.models, "it is gone")


async def test_the_tree_of_resources(folder: EngineFixture, tmp_path: Path) -> None:
    file = tmp_path / "table.csv"
    file.write_text("a,b\n1,2\n")
    async with open_app(folder, (160, 50), view="resources") as one:
        await one.shows("runs/", "uploads/", "models/", "public/")
        view = one.app.current_view
        assert isinstance(view, ResourcesView)
        await one.command(f":upload {file} table")
        await one.says("uploads/table was taken in")
        await one.press("g", "enter")
        await one.until(lambda: view.path == "runs", "the runs")
        await one.shows("echo weights")
        await one.press("enter")
        await one.shows("weights.txt", "-m runs/1/weights.txt")
        await one.press("y")
        await one.says("The mount")
        await one.press("backspace", "backspace")
        await one.until(lambda: view.path == "", "the top")
        await one.press("g", "j", "enter")
        await one.until(lambda: view.path == "uploads", "the uploads")
        await one.shows("table")
        await one.press("M")
        await one.until(lambda: isinstance(one.app.screen, Form), "the form")
        await one.shows("uploads/table")
        await one.press("escape")
        await one.command(":link mine")
        await one.says("mine is uploads/table now")
        await one.press("D")
        await at_once(one)
        await one.until(lambda: "table" not in one.text, "it is gone")
        await one.command(":unlink mine")
        await one.says("mine is no link any more")
