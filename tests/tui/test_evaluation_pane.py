"""The evaluation pane on a screen."""

from __future__ import annotations

from textual.app import App, ComposeResult

from spice_tui.widgets.evaluation import EvaluationPane

PART = {
    "steps": 10,
    "score": 9.0,
    "random": 1.0,
    "best_constant": 5.0,
    "oracle": 10.0,
    "regret_closed": 0.8,
    "actions_taken": {f"action {i}": i for i in range(20)},
    "reward_per_action": {},
}


class Host(App[None]):
    """An app with the pane."""

    def compose(self) -> ComposeResult:
        yield EvaluationPane()


def shown(pane: EvaluationPane) -> str:
    """All rows."""
    return "\n".join(pane.page.render_line(y).text for y in range(pane.page.size.height))


async def test_it_shows_scrolls_and_is_renewed() -> None:
    app = Host()
    async with app.run_test(size=(80, 12)) as pilot:
        pane = app.query_one(EvaluationPane)
        assert "Not evaluated yet." in shown(pane)
        pane.show({"in_sample": PART, "held_out": PART})
        await pilot.pause()
        assert "80.0%" in shown(pane)
        assert "action 19" in shown(pane)
        pane.focus()
        await pilot.press("end")
        await pilot.pause()
        assert pane.max_scroll_y > 0
        before = pane.page.repainted
        pane.show({"in_sample": PART, "held_out": PART})
        await pilot.pause()
        assert pane.page.repainted == before
