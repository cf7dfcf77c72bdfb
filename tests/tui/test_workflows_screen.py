"""The screen of workflows on a real engine: a graph that goes along with what the engine does."""

from __future__ import annotations

from pathlib import Path

import pytest

from spice_tui.screens.workflows_screen import WorkflowsScreen
from tests.conftest import EngineFixture
from tests.tui.app_driver import open_app


async def test_a_workflow_is_carried_out_drawn_and_gone_on_with(
    engine: EngineFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    root: Path = engine.location.root
    monkeypatch.chdir(root)
    (root / "workflows").mkdir()
    (root / "workflows" / "flow.yaml").write_text(
        "steps:\n"
        "  prepare: {command: 'echo made > data'}\n"
        "  train:\n"
        f"    command: test -e {root.parent}/go\n"
        "    mounts: [steps.prepare:d]\n"
        "    foreach: [1, 2]\n"
        "  report: {command: 'echo the-report', needs: train}\n"
    )
    engine.start()
    async with open_app(engine) as driver:
        await driver.shows("Just look around")
        await driver.press("escape")
        await driver.command("workflows")
        await driver.shows("No workflow yet.")
        await driver.press("tab", "escape")
        await driver.command("workflows nothing")
        await driver.until(lambda: "There are: flow." in " ".join(driver.said), "the hint")
        await driver.command("workflows flow")
        await driver.shows("1 complete, 2 failed", "✗ train[1]", "■ report")
        assert isinstance(driver.app.screen, WorkflowsScreen)
        (root.parent / "go").touch()
        await driver.press("R")
        await driver.shows("4 complete", "✓ train[1]")
        await driver.press("R")
        await driver.shows("nothing is left to do", "✓ complete")
        await driver.press("X")
        await driver.shows("Workflow 1 is over: complete.")
        await driver.press("question_mark")
        await driver.shows("In the workflows", "with the folder as it is now.")
        await driver.press("escape")
        await driver.until(lambda: isinstance(driver.app.screen, WorkflowsScreen), "the workflows")
        await driver.press("escape")
        await driver.command("workflows flow")
        await driver.shows("4 cached", "✓ report")
        await driver.press("D")
        await driver.shows("Workflow 2 is put away.")
        # An engine that goes and comes back is said, and then no more.
        engine.stop()
        await driver.until(lambda: not driver.app.world.attached, "the engine to be gone")
        await driver.press("R")
        await driver.shows("no engine is attached")
        engine.start()
        await driver.until(lambda: "no engine" not in driver.text, "the engine to be back")
        await driver.shows("✓ report")
        # To the graph, along its links, and to the log of a step.
        await driver.press("enter", "right", "right", "enter")
        await driver.shows("the-report")
        assert not isinstance(driver.app.screen, WorkflowsScreen)
