"""Questions that take the engine a while: one a pod at a time, and the last answer of each."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import replace
from typing import Any

from spice_engine.errors import SpiceError
from spice_engine.records import record


@record
class Question:
    """What was asked while `serving` was the version that served; `error`: why no answer came."""

    about: tuple[str, ...] = ()
    serving: int | None = None
    answer: Any = None
    error: str = ""


Begin = Callable[[Coroutine[Any, Any, None]], "asyncio.Task[Any]"]
"""Begins work beside the loop of messages."""


class Questions:
    """`changed` is called when a question was begun, answered, refused or given up."""

    def __init__(self, begin: Begin, changed: Callable[[], None]) -> None:
        self._begin = begin
        self._changed = changed
        self._kept: dict[str, Question] = {}
        self._asked: dict[str, Question] = {}
        self._tasks: dict[str, asyncio.Task[Any]] = {}

    def kept(self, pod: str) -> Question | None:
        """The last answer, or the last refusal with the answer before it."""
        return self._kept.get(pod)

    def asked(self, pod: str) -> Question | None:
        """What is being worked out."""
        return self._asked.get(pod)

    def ask(
        self, pod: str, about: Sequence[str], serving: int | None, answer: Awaitable[Any]
    ) -> None:
        """Await an answer beside everything else, in place of one that is still awaited."""
        self.give_up(pod)
        question = self._asked[pod] = Question(tuple(about), serving)
        self._tasks[pod] = self._begin(self._await(pod, question, answer))
        self._changed()

    def give_up(self, pod: str) -> bool:
        """Want the answer no longer; false where none is awaited."""
        task = self._tasks.pop(pod, None)
        if task is None:
            return False
        del self._asked[pod]
        task.cancel()
        self._changed()
        return True

    async def _await(self, pod: str, question: Question, answer: Awaitable[Any]) -> None:
        try:
            found = replace(question, answer=await answer)
        except SpiceError as error:
            before = self._kept.get(pod)
            found = replace(before or question, error=str(error))
        if self._asked.get(pod) is question:
            self._kept[pod] = found
            del self._asked[pod], self._tasks[pod]
            self._changed()
