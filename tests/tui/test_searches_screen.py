"""The searches of an engine on the screen, live."""

from __future__ import annotations

import pytest

from spice_tui.screens.searches_screen import SearchesScreen
from tests.conftest import EngineFixture
from tests.tui.app_driver import open_app


async def test_a_search_is_followed_ended_and_its_trials_are_shown(
    shared_engine: EngineFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spice_tui.base.GRACE_SECONDS", 60)
    with shared_engine.client() as client:
        number = client.call(
            "searches.start",
            {
                "method": "random",
                "parameters": [{"name": "rate", "low": 0.001, "high": 1.0, "scale": "log"}],
                "trials": 8,
                "metric": "loss",
                "goal": "min",
                "seed": 5,
                "name": "tuned",
            },
        )["id"]

        def tell(count: int) -> None:
            for _ in range(count):
                trial = client.call("searches.ask", {"id": number})
                value = abs(trial["params"]["rate"] - 0.1)
                request = {"id": number, "trial": trial["number"], "value": value}
                client.call("searches.tell", request)

        tell(4)
        async with open_app(shared_engine, (160, 50)) as one:
            await one.press("3")
            await one.shows("tuned", "random", "4 of 8 trials")
            assert "t Train" not in one.text, "a search is no pod"
            await one.command(f":searches {number}")
            await one.until(lambda: isinstance(one.app.screen, SearchesScreen), "the searches")
            await one.shows(
                "tuned", "Best loss so far", "Parallel coordinates", "Importance", "4/8"
            )
            tell(2)
            await one.shows("6/8")
            # What is asked for can be taken back, here as elsewhere.
            await one.press("X")
            await one.shows(f"search {number} is stopped: u takes back (1)")
            await one.press("u")
            await one.says("Taken back")
            monkeypatch.setattr("spice_tui.base.GRACE_SECONDS", 0.1)
            await one.press("X")
            await one.shows("■ stopped")
            await one.press("K")
            await one.shows(f"Search {number} is over: stopped.")
            await one.press("question_mark")
            await one.shows("In the searches", "End the search and its runs at once.")
            await one.press("escape")
            await one.until(lambda: isinstance(one.app.screen, SearchesScreen), "the searches")
            await one.press("enter")
            await one.shows("Trial 4: complete, loss", "rate=")
            await one.press("enter")
            await one.until(lambda: not isinstance(one.app.screen, SearchesScreen), "to leave")
            await one.shows("Log of run/")
    with pytest.raises(Exception, match="does not go on"):
        shared_engine.call("searches.ask", id=number)


async def test_on_a_small_terminal_one_part_is_seen_at_a_time(
    shared_engine: EngineFixture,
) -> None:
    parameters = [{"name": "rate", "low": 0.001, "high": 1.0, "scale": "log"}]
    request = {"method": "random", "parameters": parameters, "trials": 2, "metric": "loss"}
    with shared_engine.client() as client:
        wanted = {**request, "name": "narrow", "goal": "min"}
        number = client.call("searches.start", wanted)["id"]
        for value in (0.5, 0.25):
            trial = client.call("searches.ask", {"id": number})["number"]
            client.call("searches.tell", {"id": number, "trial": trial, "value": value})
    async with open_app(shared_engine, (60, 20)) as one:
        await one.command(f":searches {number}")
        await one.shows("narrow", "2/2", "best 0.25")
        assert "Parallel coordinates" not in one.text
        await one.press("tab")
        await one.shows("Trial 2: complete, loss 0.25", "rate")
        await one.press("tab")
        await one.shows("Best loss so far")
        assert "narrow" not in one.text
        await one.press("tab")
        await one.shows("narrow", "2/2")
