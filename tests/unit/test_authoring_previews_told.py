"""What is told of a preview's episodes: the first at once, many together, and never too many."""

from __future__ import annotations

import asyncio
from itertools import pairwise

from spice_engine.pods.previews import MAX_EPISODES, Preview
from spice_engine.protocol.authoring import PreviewInfo


def episode(number: int) -> dict[str, object]:
    return {
        "episode": number,
        "start": 1.0,
        "end": 2.0,
        "score": float(number),
        "actions_taken": {"a": number},
        "detail": {"candidate": "x"},
    }


async def test_episodes_that_come_together_are_told_together() -> None:
    told: list[PreviewInfo] = []
    third = asyncio.Event()

    def tell(info: PreviewInfo) -> None:
        told.append(info)
        if len(told) == 3:
            third.set()

    preview = Preview(PreviewInfo("p", 1, "loading"), "x.yaml", tell)
    preview.change(state="training")
    for number in range(1, 11):
        preview.add(episode(number))
    assert [len(info.episodes) for info in told] == [0, 1]
    async with asyncio.timeout(10):
        await third.wait()
    assert [one.episode for one in told[2].episodes] == list(range(1, 11))
    preview.add(episode(11))
    preview.change(state="done")
    assert (len(told[-1].episodes), told[-1].state) == (11, "done")


async def test_of_very_many_episodes_a_spread_is_told() -> None:
    told: list[PreviewInfo] = []
    preview = Preview(PreviewInfo("p", 1, "training"), "x.yaml", told.append)
    for number in range(1, 10_001):
        preview.add(episode(number))
    preview.change(state="done")
    numbers = [one.episode for one in told[-1].episodes]
    assert MAX_EPISODES // 2 <= len(numbers) <= MAX_EPISODES
    assert numbers[0] == 1
    assert len({after - before for before, after in pairwise(numbers)}) == 1
    assert numbers[-1] > 9_000
