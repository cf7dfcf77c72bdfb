"""Event files, read by a reader of its own that follows the formats' descriptions bit by bit."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from spice_engine.learning import training_log
from spice_engine.learning.event_file import EventFile, crc32c
from spice_engine.learning.training_log import TrainingLog
from spice_engine.workers.child import LocalReport


def crc_by_bits(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        for bit in range(8):
            low = (crc ^ byte >> bit) & 1
            crc = crc >> 1 ^ (0x82F63B78 if low else 0)
    return crc ^ 0xFFFFFFFF


def masked(data: bytes) -> int:
    crc = crc_by_bits(data)
    return ((crc >> 15 | crc << 17 & 0xFFFFFFFF) + 0xA282EAD8) % 2**32


def records(path: Path) -> Iterator[bytes]:
    data = path.read_bytes()
    while data:
        (length, check) = struct.unpack("<QI", data[:12])
        assert check == masked(data[:8])
        body, end = data[12 : 12 + length], 12 + length
        assert struct.unpack("<I", data[end : end + 4])[0] == masked(body)
        yield body
        data = data[end + 4 :]


def fields(message: bytes) -> Iterator[tuple[int, Any]]:
    def varint() -> int:
        nonlocal message
        value = shift = 0
        while True:
            byte, message = message[0], message[1:]
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while message:
        key = varint()
        if key & 7 == 0:
            yield key >> 3, varint()
            continue
        size = {1: 8, 5: 4}.get(key & 7) or varint()
        value, message = message[:size], message[size:]
        form = {1: "<d", 5: "<f"}.get(key & 7)
        yield key >> 3, struct.unpack(form, value)[0] if form else value


def read(folder: Path) -> list[tuple[int, float, dict[str, float]]]:
    """Step, time and scalars of the events after the first, which says the version."""
    (path,) = folder.iterdir()
    assert "tfevents" in path.name
    first, *others = (dict(fields(record)) for record in records(path))
    assert first[3] == b"brain.Event:2"
    found: list[tuple[int, float, dict[str, float]]] = []
    for event in others:
        values = [dict(fields(value)) for _, value in fields(event[5])]
        found.append((event[2], event[1], {one[1].decode(): one[2] for one in values}))
    return found


def episode(number: int, **detail: Any) -> dict[str, Any]:
    return {
        "kind": "episode",
        "episode": number,
        "start": 1.0,
        "end": 2.0,
        "score": 10.0 * number,
        "actions_taken": {"wait": 3, "go": number},
        "detail": detail,
    }


def test_the_checksum_is_that_of_rfc_3720() -> None:
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert crc32c(bytes(range(32))) == 0x46DD794E


def test_scalars_are_read_back(tmp_path: Path) -> None:
    file = EventFile(tmp_path / "7", 1_700_000_000.25)
    file.scalars(1, 5.5, {"score": -2.5, "a/β": 0.0})
    file.scalars(300, 6.5, {"nothing": math.nan, "huge": 1e60, "none": math.inf})
    file.close()
    first, (step, time, values) = read(tmp_path / "7")
    assert first == (1, 5.5, {"score": -2.5, "a/β": 0.0})
    assert (step, time, values) == (300, 6.5, {"huge": math.inf})


def test_a_training_writes_its_episodes_and_how_it_was_evaluated(tmp_path: Path) -> None:
    passed: list[Any] = []
    log = TrainingLog(LocalReport(passed.append), tmp_path / "pod" / "3")
    log.report(episode(1, candidate="x", regret_closed=0.5, oracle=40.0, loss=0.25, folds=[1.0]))
    log.report({"kind": "policy"})
    losses = {"td": 0.5, "entropy": 2}
    log.report(episode(2, regret_closed=None, folds_score=7, cut=True, losses=losses))
    log.evaluated({"held_out": {"score": 9.0, "regret_closed": 0.25}, "in_sample": None})
    log.close()
    assert [one["kind"] for one in passed] == ["episode", "policy", "episode"]
    assert [(step, values) for step, _, values in read(tmp_path / "pod" / "3")] == [
        (
            1,
            {
                "score": 10.0,
                "regret_closed": 0.5,
                "reference/oracle": 40.0,
                "learning/loss": 0.25,
                "actions/wait": 3.0,
                "actions/go": 1.0,
            },
        ),
        (
            2,
            {
                "score": 20.0,
                "folds_score": 7.0,
                "loss/td": 0.5,
                "loss/entropy": 2.0,
                "actions/wait": 3.0,
                "actions/go": 2.0,
            },
        ),
        (2, {"held_out/score": 9.0, "held_out/regret_closed": 0.25}),
    ]


def test_old_trainings_make_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_log, "KEPT", 3)
    for number in (8, 9, 10, 11):
        TrainingLog(LocalReport(), tmp_path / str(number)).close()
    (tmp_path / "notes").mkdir()  # somebody else's
    TrainingLog(LocalReport(), tmp_path / "12").close()
    assert {one.name for one in tmp_path.iterdir()} == {"10", "11", "12", "notes"}
    TrainingLog(LocalReport(), tmp_path / "12").close()
    assert len(read(tmp_path / "12")) == 0  # another engine's of the same number is gone
    assert {one.name for one in tmp_path.iterdir()} == {"10", "11", "12", "notes"}


def test_a_folder_that_cannot_be_written_ends_no_training(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    passed: list[Any] = []
    log = TrainingLog(LocalReport(passed.append), tmp_path / "file" / "1")
    log.report(episode(1))
    log.evaluated({})
    log.close()
    assert len(passed) == 1
