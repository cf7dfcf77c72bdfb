"""The line that forwards a port."""

from __future__ import annotations

import getpass
import socket

import pytest

from spice_tui.cli.forwarding import forward


def test_a_port_is_forwarded_with_a_name_and_without_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "far")
    monkeypatch.setattr(getpass, "getuser", lambda: "ann")
    assert forward(8888) == "ssh -L 8888:127.0.0.1:8888 ann@far"

    def unknown() -> str:
        raise KeyError("getpwuid(): uid not found: 4711")

    monkeypatch.setattr(getpass, "getuser", unknown)
    assert forward(8888) == "ssh -L 8888:127.0.0.1:8888 far"
