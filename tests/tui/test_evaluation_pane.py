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


class Asking(EvaluationPane):
    """Asks where widgets are as soon as it is to have a scroll bar, before there is room for it."""

    def watch_show_vertical_scrollbar(self) -> None:
        self.call_next(self._ask)

    def _ask(self) -> None:
        compositor = self.screen._compositor
        compositor._full_map_invalidated = True  # as any widget out of sight does that is drawn
        assert compositor.full_map[self.page].region.width == 79


async def test_it_is_drawn_for_the_width_beside_its_scroll_bar() -> None:
    """Whoever asks Textual where a widget is makes it forget to tell of the new width."""

    class AskingHost(App[None]):
        def compose(self) -> ComposeResult:
            yield Asking()

    app = AskingHost()
    async with app.run_test(size=(80, 12)) as pilot:
        pane = app.query_one(EvaluationPane)
        pane.show({"in_sample": PART, "held_out": PART})
        await pilot.pause()
        assert pane.page.size.width == 79
        assert {len(line) for line in shown(pane).split("\n")} == {79}
