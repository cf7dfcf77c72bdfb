"""Append logs with a time index, and framed logs that are cut at the last whole frame."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spice_engine.errors import InvalidRequest, NotFound, StorageError
from spice_engine.store.appendlog import (
    LARGEST_READ,
    RECORD,
    LogIndex,
    index_path,
    read_range,
    seek_time,
    tail,
)
from spice_engine.store.framedlog import FramedLog, frame, read_frames
from tests.examples import examples


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "logs.txt"


def write(log: Path, text: bytes, *records: tuple[int, float], torn: bytes = b"") -> None:
    log.write_bytes(text)
    index_path(log).write_bytes(b"".join(RECORD.pack(*record) for record in records) + torn)


class TestAppendLog:
    def test_a_range_stops_at_the_end(self, log: Path) -> None:
        log.write_bytes(b"0123456789")
        part = read_range(log, 4, 3)
        assert (part.offset, part.data, part.size, part.next_offset) == (4, b"456", 10, 7)
        assert read_range(log, 8, 100).data == b"89"
        assert read_range(log, 99, 5).data == b""
        assert read_range(log, 99, 5).offset == 10
        assert read_range(log, -3).data == b"789"

    def test_a_missing_log_is_said(self, log: Path) -> None:
        with pytest.raises(NotFound, match="no log"):
            read_range(log, 0)
        with pytest.raises(NotFound):
            tail(log, 5)
        assert seek_time(log, 1.0) == 0

    def test_a_time_leads_to_the_start_of_a_line(self, log: Path) -> None:
        write(log, b"one\ntwo\nthree\nfour\n", (0, 100.0), (6, 110.0), (14, 120.0))
        assert seek_time(log, 90.0) == 0
        assert seek_time(log, 110.0) == 0
        assert seek_time(log, 115.0) == 4  # inside "two": back to where the line begins
        assert seek_time(log, 999.0) == 14

    def test_a_torn_record_is_left_out(self, log: Path) -> None:
        write(log, b"a\nb\n", (0, 1.0), (2, 2.0), torn=b"\x01\x02\x03")
        index = LogIndex.load(log)
        assert (index.offsets, index.times) == ((0, 2), (1.0, 2.0))
        assert index.time_at(3) == 2.0
        assert index.time_at(1) == 1.0

    def test_without_an_index_everything_can_be_read(self, log: Path) -> None:
        log.write_bytes(b"a\nb\n")
        assert seek_time(log, 50.0) == 0
        assert LogIndex.load(log).time_at(0) is None
        assert tail(log, 1).data == b"b\n"

    def test_a_clock_set_back_keeps_the_index_searchable(self, log: Path) -> None:
        write(log, b"a\nb\nc\nd\n", (0, 100.0), (2, 50.0), (4, 110.0), (1, 200.0))
        index = LogIndex.load(log)
        assert index.times == (100.0, 100.0, 110.0)
        assert index.offsets == (0, 2, 4)

    @pytest.mark.parametrize("ending", [b"", b"\n"])
    @settings(max_examples=examples(40), deadline=None)
    @given(lines=st.lists(st.integers(0, 50_000), max_size=12), count=st.integers(0, 14))
    def test_tail_gives_the_last_lines(self, ending: bytes, lines: list[int], count: int) -> None:
        with tempfile.TemporaryDirectory() as folder:
            log = Path(folder) / "logs.txt"
            texts = [b"x" * length + b"|" for length in lines]
            log.write_bytes(b"\n".join(texts) + (ending if texts else b""))
            wanted = b"\n".join(texts[-count:]) + ending if texts and count else b""
            part = tail(log, count)
            assert part.data == wanted
            assert part.next_offset == part.size

    def test_tail_of_long_lines_is_bounded(self, log: Path) -> None:
        log.write_bytes(b"y" * (3 * LARGEST_READ))
        assert len(tail(log, 2).data) == LARGEST_READ
        log.write_bytes(b"y" * (3 * LARGEST_READ) + b"\nlast\n")
        assert tail(log, 5).data == b"last\n"


payloads = st.lists(st.binary(min_size=1, max_size=40), max_size=8)


class TestFramedLog:
    def test_groups_come_back_frame_by_frame(self, tmp_path: Path) -> None:
        log = FramedLog(tmp_path / "a.log")
        log.append([b"one", b"two"])
        assert log.append([b"three"]) == log.size == log.path.stat().st_size
        assert log.append([]) == log.size
        assert [payload for _, payload in read_frames(log.path)] == [b"one", b"two", b"three"]
        (offset, _), *_ = read_frames(log.path)
        assert [payload for _, payload in read_frames(log.path, offset)] == [b"two", b"three"]
        log.close()
        log.close()
        with pytest.raises(StorageError, match="closed"):
            log.append([b"x"])

    @settings(max_examples=examples(80), deadline=None)
    @given(whole=payloads, torn=st.binary(min_size=1, max_size=60), data=st.data())
    def test_a_frame_cut_anywhere_is_taken_off_and_nothing_else(
        self, whole: list[bytes], torn: bytes, data: st.DataObject
    ) -> None:
        end = frame(torn)
        cut = data.draw(st.integers(1, len(end) - 1))
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "a.log"
            path.write_bytes(b"".join(map(frame, whole)) + end[:cut])
            log = FramedLog(path)
            assert log.cut_bytes == cut
            log.append([b"after"])
            log.close()
            assert [payload for _, payload in read_frames(path)] == [*whole, b"after"]
            assert path.with_name("a.log.torn").read_bytes() == end[:cut]

    @settings(max_examples=examples(60), deadline=None)
    @given(whole=payloads.filter(bool), data=st.data())
    def test_an_altered_byte_is_never_given_out(
        self, whole: list[bytes], data: st.DataObject
    ) -> None:
        content = bytearray(b"".join(map(frame, whole)))
        content[data.draw(st.integers(0, len(content) - 1))] ^= 0xFF
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "a.log"
            path.write_bytes(content)
            found = [payload for _, payload in read_frames(path)]
            assert found == whole[: len(found)]
            assert len(found) < len(whole)

    def test_zeros_left_by_a_power_loss_are_no_frames(self, tmp_path: Path) -> None:
        path = tmp_path / "a.log"
        path.write_bytes(frame(b"good") + bytes(4096))
        log = FramedLog(path)
        assert log.cut_bytes == 4096
        assert log.size == len(frame(b"good"))
        log.close()

    def test_empty_and_huge_payloads_are_refused_before_anything_is_written(
        self, tmp_path: Path
    ) -> None:
        log = FramedLog(tmp_path / "a.log")
        with pytest.raises(InvalidRequest):
            log.append([b"fine", b""])
        assert log.path.stat().st_size == 0
        log.close()

    def test_a_folder_that_is_not_there_is_said(self, tmp_path: Path) -> None:
        with pytest.raises(StorageError, match="cannot open the log"):
            FramedLog(tmp_path / "none" / "a.log")
        with pytest.raises(NotFound):
            list(read_frames(tmp_path / "none.log"))
