"""Runs a command that ends when its starter does, whichever way that happens.

Started as `python -I -m spice_engine.workers.tied COMMAND...`, with a pipe as its standard input
that its starter holds open and never writes to. When that closes the command is told to end.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading

GRACE_SECONDS = 3.0


def tie(command: list[str]) -> int:
    """Run the command; its exit status, negative where a signal ended it."""
    with subprocess.Popen(command, stdin=subprocess.DEVNULL) as process:
        threading.Thread(target=_end_with_input, args=(process,), daemon=True).start()
        return process.wait()


def _end_with_input(process: subprocess.Popen[bytes]) -> None:
    while os.read(0, 4096):
        pass
    process.terminate()
    try:
        process.wait(GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()


if __name__ == "__main__":
    status = tie(sys.argv[1:])
    sys.exit(status if status >= 0 else 128 - status)
