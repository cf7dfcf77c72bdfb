"""The command that brings a port of this machine's to another one."""

from __future__ import annotations

import getpass
import socket
from contextlib import suppress


def forward(port: int) -> str:
    """What to type on the other machine. A user without a name is left out."""
    host = socket.gethostname()
    with suppress(KeyError, OSError):  # of an unknown user: the one until Python 3.12, and since
        host = f"{getpass.getuser()}@{host}"
    return f"ssh -L {port}:127.0.0.1:{port} {host}"
