"""Taking in observations: on disk before the answer, once, whatever the others do."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from spice_engine.errors import (
    ChildFailed,
    EngineUnavailable,
    InvalidData,
    InvalidRequest,
    Overloaded,
    TooLarge,
)
from spice_engine.pods.observations import Limits, ObservationStore
from tests.unit.small_ingest import SmallIngest, body, rows_of


@asynccontextmanager
async def opened(
    folder: Path, ingest: SmallIngest | None = None, **limits: int
) -> AsyncIterator[ObservationStore]:
    store = ObservationStore(folder, ingest or SmallIngest(), Limits(**limits))
    changes: list[str] = []
    await store.open(changes.append)
    yield store
    await store.close()


async def test_what_was_accepted_is_there_after_a_restart(tmp_path: Path) -> None:
    changes: list[str] = []
    store = ObservationStore(tmp_path / "observations", SmallIngest())
    await store.open(changes.append)
    observed = await store.accept("pod.1-a_B", body("10,1.5\nrubbish\n20,2.5\n"))
    assert (observed.rows, observed.bad_rows, observed.duplicate) == (2, 1, False)
    await store.accept("pod.1-a_B", body("30,3.5"))
    assert changes == ["pod.1-a_B", "pod.1-a_B"]
    expected = [("home/room", 10, 1.5), ("home/room", 20, 2.5), ("home/room", 30, 3.5)]
    assert rows_of(await store.files("pod.1-a_B")) == expected
    await store.close()
    async with opened(tmp_path / "observations") as store:
        assert rows_of(await store.files("pod.1-a_B")) == expected
        await store.accept("pod.1-a_B", body("40,4"))
        assert len(rows_of(await store.files("pod.1-a_B"))) == 4
        assert await store.files("another") == []
    assert not (tmp_path / "observations" / "another").exists()


async def test_those_who_post_at_once_share_their_batches_and_writes(tmp_path: Path) -> None:
    ingest = SmallIngest()
    async with opened(tmp_path, ingest) as store:

        async def post(poster: int) -> None:
            for number in range(10):
                await store.accept(f"pod{poster % 2}", body(f"{poster * 1000 + number},1"))

        await asyncio.gather(*(post(poster) for poster in range(16)))
        stats = store.stats()
        assert stats["bodies_total"] == stats["rows_total"] == 160
        assert stats["groups_total"] < 100
        assert len(ingest.batches) < 100
        assert (stats["waiting"], stats["waiting_bytes"]) == (0, 0)
        times = {time for pod in (0, 1) for _, time, _ in rows_of(await store.files(f"pod{pod}"))}
        assert times == {poster * 1000 + number for poster in range(16) for number in range(10)}


async def test_the_same_payload_counts_once(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        first, *others = await asyncio.gather(*(store.accept("p", body("1,1")) for _ in range(8)))
        assert [first.duplicate, *(other.duplicate for other in others)].count(False) == 1
        assert (await store.accept("p", body("1,1"))).duplicate
        # Another row with the same time is another sample; so are other places.
        assert not (await store.accept("p", body("1,2"))).duplicate
        assert not (await store.accept("p", body("1,1", "home/hall"))).duplicate
        assert not (await store.accept("q", body("1,1"))).duplicate
        assert len(rows_of(await store.files("p"))) == 3
        assert store.stats()["duplicates_total"] == 8
    async with opened(tmp_path) as store:
        again = await store.accept("p", body("1,1"))
        assert (again.duplicate, again.rows) == (True, 1)


async def test_the_same_key_counts_once(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        assert not (await store.accept("p", body("1,1", key="a"))).duplicate
        assert (await store.accept("p", body("1,2", key="a"))).duplicate
        assert not (await store.accept("p", body("1,2", key="b"))).duplicate
    async with opened(tmp_path) as store:
        assert (await store.accept("p", body("9,9", key="a"))).duplicate
        with pytest.raises(InvalidRequest, match="longer than 255"):
            await store.accept("p", body("1,1", key="a" * 256))


async def test_a_feed_may_repeat_itself(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        for value in (1, 2, 1):
            text = f"1,{value}"
            observed = await store.accept("p", body(text, feed="http", replace=(0, 9)))
            assert not observed.duplicate
        assert len(rows_of(await store.files("p"))) == 3


async def test_one_that_cannot_be_read_fails_alone(tmp_path: Path) -> None:
    ingest = SmallIngest(size=1)
    async with opened(tmp_path, ingest) as store:
        ingest.hold.clear()
        texts = ["1,1", "wrong", "2,2", "boom", "3,3"]
        tasks = [asyncio.create_task(store.accept("p", body(text))) for text in texts]
        await asyncio.sleep(0)
        ingest.hold.set()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(results[1], InvalidData)
        assert str(results[1]) == "it is wrong. Right it."
        assert isinstance(results[3], ChildFailed)
        assert sorted(time for _, time, _ in rows_of(await store.files("p"))) == [1, 2, 3]
        assert store.stats()["failed_total"] == 2


class BrokenIngest(SmallIngest):
    """Its answers have no form at all."""

    async def call(self, *args: object, **more: object) -> object:
        return [None]


async def test_a_loader_out_of_its_mind_keeps_nobody_waiting(tmp_path: Path) -> None:
    async with opened(tmp_path, BrokenIngest()) as store:
        with pytest.raises(ChildFailed, match="unknown form"):
            await store.accept("p", body("1,1"))


async def test_a_payload_without_a_row_is_counted_and_not_kept(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        assert (await store.accept("p", body("rubbish"))).bad_rows == 1
        assert await store.files("p") == []


async def test_too_much_at_once_is_refused_and_the_rest_goes_on(tmp_path: Path) -> None:
    ingest = SmallIngest()
    async with opened(tmp_path, ingest, waiting_bytes=100, body_bytes=150) as store:
        with pytest.raises(TooLarge, match="151 bytes"):
            await store.accept("p", body("1" * 151))
        ingest.hold.clear()
        # One payload over the bound goes alone.
        first = asyncio.create_task(store.accept("p", body(f"1,{'1' * 110}")))
        await asyncio.sleep(0)
        with pytest.raises(Overloaded, match="1 payloads"):
            await store.accept("p", body("2,2"))
        ingest.hold.set()
        await first
        await store.accept("p", body("3,3"))
        assert store.stats()["refused_total"] == 1


async def test_a_large_payload_goes_by_a_file_that_does_not_stay(tmp_path: Path) -> None:
    async with opened(tmp_path, inline_bytes=10) as store:
        observed = await store.accept("p", body("1,1\n2,2\n3,3\n4,4\n"))
        assert observed.rows == 4
        assert list((tmp_path / "+incoming").iterdir()) == []
    (tmp_path / "+incoming" / "left-by-a-crash").write_text("1,1")
    async with opened(tmp_path) as store:
        assert list((tmp_path / "+incoming").iterdir()) == []


async def test_who_leaves_early_holds_nobody_up(tmp_path: Path) -> None:
    ingest = SmallIngest(size=1)
    async with opened(tmp_path, ingest) as store:
        ingest.hold.clear()
        leaving = [asyncio.create_task(store.accept("p", body(f"{n},1"))) for n in range(4)]
        staying = asyncio.create_task(store.accept("p", body("9,9")))
        await asyncio.sleep(0)
        for task in leaving:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*leaving)
        ingest.hold.set()
        assert (await staying).rows == 1
        assert store.stats()["waiting_bytes"] == 0


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a b", "+incoming", "ä", "a" * 201])
async def test_only_names_that_are_safe_become_folders(tmp_path: Path, name: str) -> None:
    async with opened(tmp_path) as store:
        with pytest.raises(InvalidRequest):
            await store.accept(name, body("1,1"))
        with pytest.raises(InvalidRequest):
            await store.files(name)


async def test_closing_finishes_what_waits_and_takes_nothing_more(tmp_path: Path) -> None:
    store = ObservationStore(tmp_path, SmallIngest())
    with pytest.raises(EngineUnavailable):
        await store.accept("p", body("0,0"))
    await store.open(str)
    tasks = [asyncio.create_task(store.accept("p", body(f"{n},1"))) for n in range(20)]
    await asyncio.sleep(0)
    await store.close()
    assert [observed.rows for observed in await asyncio.gather(*tasks)] == [1] * 20
    with pytest.raises(EngineUnavailable):
        await store.accept("p", body("99,9"))
    async with opened(tmp_path) as again:
        assert len(rows_of(await again.files("p"))) == 20
