"""The searches of an engine on the screen, live."""

from __future__ import annotations

import pytest

from spice_tui.screens.searches_screen import SearchesScreen
from tests.conftest import EngineFixture
from tests.tui.app_driver import open_app


async def test_a_search_is_followed_ended_and_its_trials_are_shown(
    shared_engine: EngineFixture,
) -> None:
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
            await one.shows("Just look around")
            await one.press("escape", "3")
            await one.shows("tuned", "random", "4 of 8 trials")
            await one.command(f":searches {number}")
            await one.until(lambda: isinstance(one.app.screen, SearchesScreen), "the searches")
            await one.shows(
                "tuned", "Best loss so far", "Parallel coordinates", "Importance", "4/8"
            )
            tell(2)
            await one.shows("6/8")
            await one.press("X")
            await one.shows("stopped")
            await one.press("enter", "enter")
            await one.shows("is no run")
            await one.press("escape")
            await one.until(lambda: not isinstance(one.app.screen, SearchesScreen), "to leave")
    with pytest.raises(Exception, match="does not go on"):
        shared_engine.call("searches.ask", id=number)
