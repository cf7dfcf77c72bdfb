"""Connections and their unused bytes, from one process image to the next."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from spice_engine.api import handover
from spice_engine.api.handover import HandedOver


def test_descriptors_stay_open_over_exec_and_bytes_find_their_connection(tmp_path: Path) -> None:
    pairs = [socket.socketpair() for _ in range(3)]
    unused = [b"", b"\x00\xffPOST /" * 1000, b"x"]
    given = [HandedOver(pair[0].fileno(), data) for pair, data in zip(pairs, unused, strict=True)]
    descriptors = handover.leave(tmp_path, given)
    assert descriptors == [it.descriptor for it in given]
    assert all(os.get_inheritable(one) for one in descriptors)
    (file,) = tmp_path.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert handover.take(tmp_path, descriptors) == given
    assert not any(os.get_inheritable(one) for one in descriptors)
    assert not list(tmp_path.iterdir())
    for pair in pairs:
        for sock in pair:
            sock.close()


def test_without_unused_bytes_there_is_no_file(tmp_path: Path) -> None:
    (tmp_path / handover.FILE_NAME).write_bytes(b"of an earlier restart that failed")
    one, other = socket.socketpair()
    with one, other:
        descriptors = handover.leave(tmp_path, [HandedOver(one.fileno(), b"")])
        assert not list(tmp_path.iterdir())
        assert handover.take(tmp_path, descriptors) == [HandedOver(one.fileno(), b"")]
    assert handover.take(tmp_path, []) == []


@pytest.mark.parametrize("keep", [0, 3, 8, 12])
def test_a_file_that_is_cut_short_gives_what_it_has(tmp_path: Path, keep: int) -> None:
    one, other = socket.socketpair()
    with one, other:
        handover.leave(tmp_path, [HandedOver(one.fileno(), b"POST /a")])
        path = tmp_path / handover.FILE_NAME
        path.write_bytes(path.read_bytes()[:keep])
        (found,) = handover.take(tmp_path, [one.fileno()])
        assert b"POST /a".startswith(found.unused)


def test_where_nothing_can_be_written_only_idle_connections_go_on(tmp_path: Path) -> None:
    one, other = socket.socketpair()
    idle, end = socket.socketpair()
    with other, idle, end:
        gone = tmp_path / "not" / "there"
        given = [HandedOver(one.detach(), b"POST"), HandedOver(idle.fileno(), b"")]
        assert handover.leave(gone, given) == [idle.fileno()]
        assert other.recv(1) == b""
