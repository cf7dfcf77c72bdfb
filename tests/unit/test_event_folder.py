"""TensorBoard's event files read back: old and new scalars, torn ends, damage, other runs."""

from __future__ import annotations

import math
import struct
from pathlib import Path

import pytest

from spice_engine.learning.event_file import EventFile, checksum
from spice_engine.runs import event_wire
from spice_engine.runs.event_folder import EventReader, files_in, places


def text(number: int, body: bytes) -> bytes:
    return bytes([number << 3 | 2, len(body)]) + body


def record(body: bytes) -> bytes:
    length = struct.pack("<Q", len(body))
    return length + checksum(length) + body + checksum(body)


def event(tag: str, value: bytes, step: int = 3, time: float = 5.0) -> bytes:
    """An event of one value, whose fields but its tag are given."""
    head = b"\x09" + struct.pack("<d", time) + b"\x10" + bytes([step])
    return head + text(5, text(1, text(1, tag.encode()) + value))


ONE = text(2, text(2, b"\x08\x01"))
"""A tensor's shape: a dimension of one."""


@pytest.mark.parametrize(
    ("tensor", "number"),
    [
        (b"\x08\x01" + text(4, struct.pack("<f", 0.5)), 0.5),
        (b"\x08\x01" + ONE + text(5, struct.pack("<f", 2.5)), 2.5),
        (b"\x08\x02" + text(6, struct.pack("<d", 0.1)), 0.1),
        (b"\x08\x09" + text(4, struct.pack("<q", -7)), -7.0),
        (b"\x08\x03" + text(7, b"\x05"), 5.0),
        (b"\x08\x01" + text(4, struct.pack("<f", math.inf)), math.inf),
        (b"\x08\x01" + text(4, struct.pack("<ff", 1, 2)), None),
        (b"\x08\x07" + text(8, b"a text"), None),
    ],
)
def test_scalars_of_the_new_form(tensor: bytes, number: float | None) -> None:
    found = event_wire.event_of(event("loss", text(8, tensor)))
    assert (found.step, found.time) == (3, 5.0)
    assert found.values == ([] if number is None else [("loss", number)])


def test_texts_are_kept_where_they_are_meant_to_be_read() -> None:
    tensor = text(8, b"\x08\x07" + text(8, "first \u2013".encode()) + text(8, b"\xff second"))

    def of(plugin: bytes) -> bytes:
        return text(9, text(1, text(1, plugin)))

    (found,) = event_wire.event_of(event("note", tensor + of(b"text"))).values
    assert found == ("note", "first \u2013\n\ufffd second")
    assert event_wire.event_of(event("note", of(b"text") + tensor)).values == [found]
    for plugin in (b"images", b"hparams"):
        assert event_wire.event_of(event("note", tensor + of(plugin))).values == []


def test_a_file_is_read_as_it_grows_wherever_it_ends(tmp_path: Path) -> None:
    written = EventFile(tmp_path / "train", 100.0)
    for step in range(3):
        written.scalars(step, 100.0 + step, {"loss": 1.0 / (step + 1), "acc": step / 2})
    written.close()
    data = written.path.read_bytes()
    ((name, path),) = files_in([tmp_path / "nothing", tmp_path]).items()
    reader, found = EventReader(name), []
    for end in range(0, len(data) + 1, 7):
        path.write_bytes(data[:end])
        found += reader.read(path)
    path.write_bytes(data)
    found += reader.read(path)
    assert found == [
        (f"train/{tag}", pytest.approx(value), step, 100.0 + step)
        for step in range(3)
        for tag, value in (("loss", 1.0 / (step + 1)), ("acc", step / 2))
    ]
    assert reader.offset == len(data)
    # Another reader goes on where this one was.
    with path.open("ab") as file:
        file.write(record(event("loss", b"\x15" + struct.pack("<f", math.nan))))
    (row,) = EventReader(name, reader.offset).read(path)
    assert (row[0], *row[2:]) == ("train/loss", 3, 5.0)
    assert math.isnan(row[1])


def test_nothing_is_made_up_after_damage(tmp_path: Path) -> None:
    good = record(event("loss", b"\x15" + struct.pack("<f", 1.0)))
    path = tmp_path / "events.out.tfevents.1"
    for bad in (good[:4] + b"\xff" + good[5:], good[:30] + b"\xff" + good[31:], record(b"\xff")):
        path.write_bytes(good + bad + good)
        reader = EventReader(path.name)
        assert len(reader.read(path)) == 1
        assert reader.read(path) == []
        assert reader.offset == len(good)


def test_files_that_were_there_before_are_another_runs(tmp_path: Path) -> None:
    old = EventFile(tmp_path, 100.0)
    old.scalars(0, 100.0, {"loss": 1.0})
    old.close()
    assert EventReader("a", since=50.0).read(old.path)
    assert EventReader("a", since=150.0).read(old.path) == []


def test_where_they_are(tmp_path: Path) -> None:
    app, run = tmp_path / "app", tmp_path / "run"
    assert places("", app, None) == ()
    assert places("logs", app, None) == (app / "logs",)
    assert places("/tmp/logs", app, (run, app)) == (Path("/tmp/logs"),)
    assert places("../logs", app / "inner", (run, app)) == tuple(
        run / part / "logs" for part in ("changes", "work", "outputs")
    )
