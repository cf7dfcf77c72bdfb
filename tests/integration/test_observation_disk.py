"""Accepted means on disk: through a killed process, and through a disk that is full."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from spice_engine.errors import StorageError
from spice_engine.pods.observations import Limits, ObservationStore
from tests.conftest import REPOSITORY
from tests.integration.test_store_full_disk import fill, mount, unmount
from tests.unit.small_ingest import SmallIngest, body, rows_of

POSTERS = """
import asyncio, itertools, sys
from pathlib import Path
from spice_engine.pods.observations import Limits, ObservationStore
from tests.unit.small_ingest import SmallIngest, body

async def main():
    store = ObservationStore(Path(sys.argv[1]), SmallIngest(), Limits(segment_frames=20))
    await store.open(str)
    numbers = itertools.count(int(sys.argv[2]))

    async def post():
        for number in numbers:
            assert not (await store.accept("p", body(f"{number},1"))).duplicate
            print(number, flush=True)

    await asyncio.gather(*(post() for _ in range(16)))

asyncio.run(main())
"""


async def test_what_was_confirmed_outlives_a_kill(tmp_path: Path) -> None:
    confirmed: set[int] = set()
    for round_ in range(3):
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", POSTERS, str(tmp_path / "observations"), str(round_ * 10**6)),
            stdout=asyncio.subprocess.PIPE,
            cwd=REPOSITORY,
        )
        assert child.stdout is not None
        for _ in range(300 + 77 * round_):
            confirmed.add(int(await child.stdout.readline()))
        child.kill()
        rest = (await child.stdout.read()).decode()
        confirmed.update(int(line) for line in rest.splitlines(keepends=True) if line[-1] == "\n")
        await child.wait()
    store = ObservationStore(tmp_path / "observations", SmallIngest(), Limits(segment_frames=20))
    await store.open(str)
    kept = [time for _, time, _ in rows_of(await store.files("p"))]
    assert len(kept) == len(set(kept)), "counted twice"
    assert confirmed <= set(kept), "lost"
    assert (await store.accept("p", body(f"{min(confirmed)},1"))).duplicate
    await store.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount(folder, "-t", "tmpfs", "-o", "size=4m", "none")
    yield folder
    unmount(folder)


async def test_a_full_disk_refuses_all_of_a_payload_and_nothing_that_was_kept(
    small_disk: Path,
) -> None:
    store = ObservationStore(small_disk, SmallIngest(), Limits(inline_bytes=2**14))
    await store.open(str)
    await store.accept("p", body("0,0"))
    fill(small_disk / "ballast")
    rows = "".join(f"{number},1\n" for number in range(1, 1001))
    with pytest.raises(StorageError, match="the disk is full"):
        await store.accept("p", body(rows))
    with pytest.raises(StorageError, match="the disk is full"):
        await store.accept("p", body(rows * 10))
    with pytest.raises(StorageError, match="the disk is full"):
        await store.accept("another", body(rows))
    assert [time for _, time, _ in rows_of(await store.files("p"))] == [0]
    (small_disk / "ballast").unlink()
    observed = await store.accept("p", body(rows))
    assert (observed.rows, observed.duplicate) == (1000, False)
    await store.accept("another", body(rows))
    await store.close()
    store = ObservationStore(small_disk, SmallIngest())
    await store.open(str)
    assert len(rows_of(await store.files("p"))) == 1001
    assert len(rows_of(await store.files("another"))) == 1000
    await store.close()
