"""Segments and Parquet: nothing is lost or counted twice, wherever a crash comes."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from spice_engine.errors import StorageError
from spice_engine.pods.observation_files import ObservationFiles
from spice_engine.pods.observations import Limits, ObservationStore
from tests.unit.small_ingest import SmallIngest, body, rows_of

POD = "p"


@asynccontextmanager
async def opened(
    folder: Path, ingest: SmallIngest | None = None
) -> AsyncIterator[ObservationStore]:
    limits = Limits(segment_frames=4, lease_seconds=0.0)
    store = ObservationStore(folder, ingest or SmallIngest(), limits)
    await store.open(str)
    yield store
    await store.close()


async def fill(store: ObservationStore, count: int, start: int = 0) -> None:
    for number in range(start, start + count):
        assert not (await store.accept(POD, body(f"{number},1"))).duplicate


async def times(store: ObservationStore) -> list[int]:
    async with store.reading(POD) as files:
        return [time for _, time, _ in rows_of(files)]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / POD).iterdir())


async def sealed(store: ObservationStore, count: int) -> None:
    async with asyncio.timeout(10):
        while store.stats()["sealed_total"] < count:  # noqa: ASYNC110 - it is no one's event
            await asyncio.sleep(0.005)


async def test_full_segments_become_one_file_and_few_of_them(tmp_path: Path) -> None:
    ingest = SmallIngest()
    async with opened(tmp_path, ingest) as store:
        for round_ in range(16):
            await fill(store, 4, start=round_ * 4)
            await sealed(store, round_ + 1)
        await fill(store, 2, start=64)
        assert await times(store) == list(range(66))
        assert store.stats()["parquet_files"] <= 5
        assert store.stats()["segments"] == 1
        # Logarithmic: no row was written sixteen times.
        assert sum(len(files) for files in ingest.seals) < 60
    async with opened(tmp_path) as store:
        assert await times(store) == list(range(66))
        await fill(store, 1, start=66)
        assert (await store.accept(POD, body("3,1"))).duplicate, "it was sealed long ago"
        assert await times(store) == list(range(67))


async def test_what_is_being_read_stays_until_it_is_read(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await fill(store, 3)
        async with store.reading(POD) as files:
            await fill(store, 1, start=3)
            await sealed(store, 1)
            assert [time for _, time, _ in rows_of(files)] == [0, 1, 2]
            assert "000001.frames" in names(tmp_path)
        assert names(tmp_path) == ["000001-000001.parquet", "000001-000001.seen"]
        assert await times(store) == [0, 1, 2, 3]


async def test_segments_that_cannot_be_merged_stay(tmp_path: Path) -> None:
    ingest = SmallIngest()
    ingest.seal_fails = True
    async with opened(tmp_path, ingest) as store:
        await fill(store, 9)
        assert await times(store) == list(range(9))
        assert names(tmp_path) == ["000001.frames", "000002.frames", "000003.frames"]
    async with opened(tmp_path) as store:
        await store.files(POD)
        await sealed(store, 1)
        assert await times(store) == list(range(9))
        assert names(tmp_path)[0] == "000001-000002.parquet"


async def test_a_crash_at_any_point_of_a_sealing_changes_nothing(tmp_path: Path) -> None:
    """The folder is copied after each step; each copy opens to the same rows."""
    ingest = SmallIngest()
    ingest.seal_fails = True
    async with opened(tmp_path / "real", ingest) as store:
        await fill(store, 9)
    folder = tmp_path / "real" / POD
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    files = ObservationFiles(folder, segment_frames=4)
    sealing = files.next_sealing()
    assert sealing is not None
    ingest.seal_fails = False
    await ingest.call("seal", {"files": list(map(str, sealing.files)), "out": str(sealing.out)})
    files.sealed(sealing)
    files.close()
    after = {path.name: path.read_bytes() for path in folder.iterdir()}
    seen, parquet = "000001-000002.seen", "000001-000002.parquet"
    assert after.keys() == {seen, parquet, "000003.frames"}
    steps = [
        {**before, "000001-000002.tmp": after[parquet][:50]},
        {**before, "000001-000002.tmp": after[parquet], "000001-000002.seen.tmp": b"123"},
        {**before, "000001-000002.tmp": after[parquet], seen: after[seen]},
        {**before, parquet: after[parquet], seen: after[seen]},
        {**after, "000002.frames": before["000002.frames"]},
    ]
    for number, step in enumerate(steps):
        root = tmp_path / f"step{number}"
        (root / POD).mkdir(parents=True)
        for name, data in step.items():
            (root / POD / name).write_bytes(data)
        async with opened(root) as store:
            assert await times(store) == list(range(9)), number
            assert (await store.accept(POD, body("1,1"))).duplicate, number
            await fill(store, 4, start=9)
            assert await times(store) == list(range(13)), number


async def test_an_old_merge_gives_way_to_the_larger_one(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await fill(store, 4)
        await sealed(store, 1)
        old = (tmp_path / POD / "000001-000001.parquet").read_bytes()
        await fill(store, 4, start=4)
        await sealed(store, 2)
        assert names(tmp_path) == ["000001-000002.parquet", "000001-000002.seen"]
    (tmp_path / POD / "000001-000001.parquet").write_bytes(old)
    async with opened(tmp_path) as store:
        assert await times(store) == list(range(8))
        assert names(tmp_path) == ["000001-000002.parquet", "000001-000002.seen"]


@pytest.mark.parametrize("cut", [1, 7, 30])
async def test_a_torn_end_is_cut_off(tmp_path: Path, cut: int) -> None:
    async with opened(tmp_path) as store:
        await fill(store, 3)
    segment = tmp_path / POD / "000001.frames"
    segment.write_bytes(segment.read_bytes()[:-cut])
    async with opened(tmp_path) as store:
        assert await times(store) == [0, 1]
        assert not (await store.accept(POD, body("2,1"))).duplicate, "it was not kept"
        assert await times(store) == [0, 1, 2]


async def test_damage_in_a_full_segment_loses_no_byte_of_the_rest(tmp_path: Path) -> None:
    ingest = SmallIngest()
    ingest.seal_fails = True
    async with opened(tmp_path, ingest) as store:
        await fill(store, 6)
    segment = tmp_path / POD / "000001.frames"
    damaged = bytearray(segment.read_bytes())
    damaged[len(damaged) // 2 + 10] ^= 1
    segment.write_bytes(damaged)
    async with opened(tmp_path) as store:
        first = await times(store)
        await sealed(store, 1)
        assert first == await times(store) == [0, 1, 4, 5]
    assert (tmp_path / POD / "000001.frames.torn").read_bytes() == damaged


async def test_a_folder_that_cannot_be_made_refuses_all_and_recovers(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        (tmp_path / POD).write_text("a file in the way")
        with pytest.raises(StorageError):
            await store.accept(POD, body("1,1"))
        (tmp_path / POD).unlink()
        assert not (await store.accept(POD, body("1,1"))).duplicate
        assert await times(store) == [1]
        shutil.rmtree(tmp_path / "+incoming")
