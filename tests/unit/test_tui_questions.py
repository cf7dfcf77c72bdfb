"""Questions that take a while: one a pod, kept, refused, given up."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from spice_engine.errors import NotTrained
from spice_tui.models.questions import Questions


class Desk:
    """Questions whose answers a test gives."""

    def __init__(self) -> None:
        self.tasks: list[asyncio.Task[Any]] = []
        self.changes = 0
        self.questions = Questions(self._begin, self._changed)

    def _begin(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[Any]:
        self.tasks.append(asyncio.ensure_future(work))
        return self.tasks[-1]

    def _changed(self) -> None:
        self.changes += 1

    def ask(self, pod: str, *about: str) -> asyncio.Future[Any]:
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.questions.ask(pod, about, 1, answer)
        return answer

    async def settle(self) -> None:
        await asyncio.gather(*self.tasks, return_exceptions=True)


async def test_an_answer_is_kept_for_its_pod() -> None:
    desk = Desk()
    shop, inn = desk.ask("shop", "v1"), desk.ask("inn")
    await asyncio.sleep(0)
    asked = desk.questions.asked("shop")
    assert asked is not None
    assert (asked.about, asked.serving) == (("v1",), 1)
    shop.set_result("because")
    inn.set_exception(NotTrained("it has no policy yet."))
    await desk.settle()
    kept, refused = desk.questions.kept("shop"), desk.questions.kept("inn")
    assert kept is not None
    assert (kept.answer, kept.about, kept.error) == ("because", ("v1",), "")
    assert refused is not None
    assert "no policy yet" in refused.error
    assert desk.questions.asked("shop") is None
    assert desk.changes == 4
    assert not desk.questions.give_up("shop")


async def test_a_refusal_keeps_the_answer_before_it() -> None:
    desk = Desk()
    desk.ask("shop").set_result("because")
    await desk.settle()
    desk.ask("shop").set_exception(NotTrained("not now."))
    await desk.settle()
    kept = desk.questions.kept("shop")
    assert kept is not None
    assert (kept.answer, kept.error != "") == ("because", True)
    desk.ask("shop").set_result("at last")
    await desk.settle()
    kept = desk.questions.kept("shop")
    assert kept is not None
    assert (kept.answer, kept.error) == ("at last", "")


async def test_what_is_given_up_or_asked_anew_is_not_awaited() -> None:
    desk = Desk()
    first = desk.ask("shop")
    await asyncio.sleep(0)
    second = desk.ask("shop", "v2")
    await asyncio.sleep(0)
    assert first.cancelled()
    assert desk.questions.give_up("shop")
    await desk.settle()
    assert second.cancelled()
    assert desk.questions.asked("shop") is None
    assert desk.questions.kept("shop") is None
    desk.ask("shop").set_result("because")
    await desk.settle()
    assert desk.questions.kept("shop") is not None
