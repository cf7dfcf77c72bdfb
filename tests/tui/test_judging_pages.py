"""A policy explained and policies compared on the screen, on one engine with a trained pod."""

from __future__ import annotations

import pytest

from spice_tui.screens.pages.asked_page import AskedPage
from spice_tui.screens.policy_picker import PolicyPicker
from spice_tui.widgets.asked import ComparisonPane, PolicyPane
from spice_tui.widgets.pane import Deck
from tests.conftest import EngineFixture, wait_for
from tests.tui.app_driver import Driver, open_app

POD = "serverops"


@pytest.fixture(scope="module")
def folder(shared_engine: EngineFixture) -> EngineFixture:
    """An engine with a sample pod that is trained."""
    with shared_engine.client() as client:
        client.call("packages.add", {"reference": f"samples/{POD}"})

        def ready() -> bool:
            (pod,) = client.call("pods.list")["pods"]
            return bool(pod["policy_version"]) and not pod["training"]

        wait_for(ready, "a trained pod", 60)
    return shared_engine


def top(one: Driver) -> AskedPage:
    page = one.app.query_one(Deck).top
    assert isinstance(page, AskedPage)
    return page


def about(page: AskedPage) -> tuple[str, ...]:
    """What the answer on show was asked about."""
    kept = page.questions.kept(POD)
    return kept.about if kept is not None else ()


async def test_a_policy_is_explained_when_one_asks(folder: EngineFixture) -> None:
    async with open_app(folder, (80, 24)) as one:
        await one.press("P")
        await one.shows("steps of the data", "preload_cache", "these rules", "when ")
        pane = one.app.query_one(PolicyPane)
        await one.until(lambda: pane.has_focus, "the focus in the page")
        await one.press("end")
        await one.shows("memory[-12] - memory[-13]")
        page = top(one)
        kept = page.questions.kept(POD)
        await one.command(":explain-policy")
        assert page.questions.asked(POD) is None, "what is known is not asked again"
        await one.press("enter")
        await one.until(lambda: page.questions.kept(POD) is not kept, "another answer")
        for size in ((120, 40), (200, 60)):
            await one.pilot.resize_terminal(*size)
            await one.press("end")
            await one.shows("Policy Compare", "memory[-12] - memory[-13]")


async def test_an_answer_of_an_older_policy_says_so(folder: EngineFixture) -> None:
    async with open_app(folder) as one:
        version = one.app.world.pods[POD].policy_version
        assert version is not None
        await one.command(f":explain-policy {POD} v{version + 1000}")
        await one.shows(f"v{version + 1000}")
        await one.press("P")
        await one.shows(f"Policy          v{version}")
        folder.call("pods.train", pod=POD, wait=True)
        await one.until(lambda: one.app.world.pods[POD].policy_version != version, "another policy")
        await one.shows(f"This is v{version};", "enter explains")
        await one.press("enter")
        await one.until(lambda: "This is v" not in one.text, "the new policy explained")


async def test_policies_are_chosen_and_compared(folder: EngineFixture) -> None:
    async with open_app(folder, (160, 50)) as one:
        await one.command(":compare-policies linear")
        await one.says("one policy is nothing to compare")
        await one.press("enter")
        await one.until(lambda: isinstance(one.app.screen, PolicyPicker), "the choice")
        await one.shows("Compare policies of serverops", "[ ] linear", "[ ] fqi")
        await one.press("escape")
        await one.until(lambda: len(one.app.screen_stack) == 1, "the choice left")
        await one.command(":compare-policies linear fqi latest")
        await one.shows(
            "3 pairs were looked at", "linear over fqi", "Learned from these steps: latest"
        )
        await one.press("B")
        await one.until(lambda: isinstance(one.app.screen, PolicyPicker), "the choice again")
        await one.shows("[x] v", "[x] linear", "[x] fqi", ", fqi, linear. Trains fqi")
        await one.press("enter")
        await one.until(lambda: len(one.app.screen_stack) == 1, "the choice made")
        page = top(one)
        await one.shows("fqi over linear")
        assert about(page)[1:] == ("fqi", "linear")


async def test_a_long_comparison_tells_how_far_it_is_and_is_given_up(folder: EngineFixture) -> None:
    manifest = folder.location.root / "spicepods" / f"{POD}.yaml"
    text = manifest.read_text()
    assert "episodes: 10\n" in text
    manifest.write_text(text.replace("episodes: 10\n", "episodes: 10000\n"))
    async with open_app(folder, (160, 50)) as one:
        await one.until(lambda: one.app.world.pods[POD].episodes == 10_000, "the longer training")
        await one.command(":compare-policies dql vpg")
        await one.shows("Comparing dql, vpg; esc gives up.", "Trains dql (1 of 2): episode ")
        pane = one.app.query_one(ComparisonPane)
        await one.until(lambda: pane.has_focus, "the focus in the page")
        await one.press("escape")
        await one.shows("enter chooses versions or algorithms")
        await one.until(lambda: not one.app.world.comparisons, "the engine to give it up")
        assert not one.said, "nothing went wrong"
