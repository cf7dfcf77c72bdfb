"""Ending a script together with all that it has started."""

from __future__ import annotations

import os
import signal
import subprocess
import time

import psutil

from spice_tui.cli import local_script
from tests.conftest import wait_for

FORKING = "for i in $(seq 300); do sleep 300 & done; wait"


def of_session(number: int) -> list[psutil.Process]:
    """The processes of a session that are still at work."""
    found: list[psutil.Process] = []
    for process in psutil.process_iter(["status"]):
        try:
            if os.getsid(process.pid) == number and process.info["status"] != psutil.STATUS_ZOMBIE:
                found.append(process)
        except ProcessLookupError:
            pass
    return found


def test_nothing_is_left_of_a_script_that_starts_commands_meanwhile() -> None:
    for delay in (0.0, 0.01, 0.02, 0.05):
        with subprocess.Popen(["/bin/sh", "-c", FORKING], start_new_session=True) as script:
            time.sleep(delay)
            try:
                local_script._signal(script, signal.SIGTERM)
                assert script.wait(20) == -signal.SIGTERM
                wait_for(lambda script=script: not of_session(script.pid), "the end of all", 10)
            finally:
                for process in of_session(script.pid):
                    process.kill()
