"""The shim's log writer: what is kept, what is counted, and the index beside it."""

from __future__ import annotations

import resource
import struct
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spice_runtime.shim_log import LogWriter


@given(st.lists(st.binary(min_size=1, max_size=400), max_size=20), st.integers(0, 1000))
def test_the_first_part_is_kept_and_the_rest_counted(chunks: list[bytes], limit: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "logs.txt")
        log = LogWriter(str(path), limit)
        for chunk in chunks:
            log.write(chunk)
        log.close()
        everything = b"".join(chunks)
        kept = path.read_bytes()
        assert log.size == len(kept)
        assert log.error == ""
        if limit and len(everything) > limit:
            assert kept.startswith(everything[:limit])
            assert kept[limit:].count(b"reached its limit") == 1
            assert log.dropped == len(everything) - limit
        else:
            assert kept == everything
            assert log.dropped == 0
        index = Path(folder, "logs.txt.idx").read_bytes()
        records = list(struct.iter_unpack("<Qd", index))
        assert bool(records) == bool(kept)
        assert records == sorted(records)


def test_a_second_writer_goes_on_where_the_first_ended(tmp_path: Path) -> None:
    for text in (b"one\n", b"two\n"):
        log = LogWriter(str(tmp_path / "logs.txt"))
        log.write(text)
        log.close()
    assert (tmp_path / "logs.txt").read_bytes() == b"one\ntwo\n"
    records = struct.iter_unpack("<Qd", (tmp_path / "logs.txt.idx").read_bytes())
    assert [offset for offset, _ in records] == [0, 4]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_disk_that_takes_nothing_loses_lines_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "logs.txt").symlink_to("/dev/full")
    log = LogWriter(str(tmp_path / "logs.txt"))
    log.write(b"lost")
    log.close()
    assert log.dropped == 4
    assert "No space" in log.error


def test_what_a_full_disk_took_of_a_chunk_is_kept_and_not_counted(tmp_path: Path) -> None:
    path = tmp_path / "logs.txt"
    log = LogWriter(str(path))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    # A write that passes the limit is cut at it, as one is that fills the disk.
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        log.write(b"x" * 150)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    log.close()
    assert path.stat().st_size == log.size == 100
    assert log.dropped == 50
    assert "large" in log.error


def test_a_log_that_rotates_keeps_what_was_written_last(tmp_path: Path) -> None:
    path = tmp_path / "logs.txt"
    log = LogWriter(str(path), rotate_bytes=100)
    lines = [b"line %04d\n" % number for number in range(30)]
    for line in lines:
        log.write(line)
    log.close()
    before = (tmp_path / "logs.txt.1").read_bytes()
    assert before + path.read_bytes() == b"".join(lines[10:])
    assert len(before) == 100
    assert log.dropped == 0
    records = list(struct.iter_unpack("<Qd", (tmp_path / "logs.txt.idx").read_bytes()))
    assert records[0][0] == 0
