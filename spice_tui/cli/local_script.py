"""The script of a local workflow: it ends with its workflow, and the workflow when it is gone."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from spice_engine.errors import EngineUnavailable, SpiceError
from spice_tui.cli.session import Session

if TYPE_CHECKING:
    import psutil

LONGEST_SECONDS = 10 * 86400.0
AGAIN_SECONDS = 0.5
LAST_SECONDS = 1.0


def attended(session: Session, number: int, script: subprocess.Popen[bytes]) -> int:
    """Wait for a script whose workflow may be stopped or killed from elsewhere; its exit code."""
    threading.Thread(target=_end_together, args=(session, number, script), daemon=True).start()
    try:
        return script.wait()
    except KeyboardInterrupt:
        with contextlib.suppress(subprocess.TimeoutExpired):
            script.wait(LAST_SECONDS)  # the terminal has interrupted it as well
        script.kill()
        raise


def _end_together(session: Session, number: int, script: subprocess.Popen[bytes]) -> None:
    """End the script when its workflow is over. As long as this is connected, the engine knows
    that there is a script."""
    while script.poll() is None:
        try:
            with session.attach() as client:
                ended = client.call("workflows.attend", {"id": number}, timeout=LONGEST_SECONDS)
        except EngineUnavailable:
            time.sleep(AGAIN_SECONDS)  # it is replaced
            continue
        except SpiceError:
            return
        _signal(script, signal.SIGKILL if ended["state"] == "killed" else signal.SIGTERM)
        return


def _signal(script: subprocess.Popen[bytes], how: signal.Signals) -> None:
    """To a script and all that it has started: a shell would leave its commands behind."""
    import psutil  # of use only here

    held: dict[int, psutil.Process] = {}
    with contextlib.suppress(psutil.Error):
        first = psutil.Process(script.pid)
        # Held still before they are told: else a shell goes on with its next line meanwhile.
        while new := [
            one for one in (first, *first.children(recursive=True)) if one.pid not in held
        ]:
            held |= {one.pid: one for one in new}
            _each(new, psutil.Process.suspend)
            # One that is just making another is held only when that is there, to be seen.
            _each(new, _held)
    _each(held.values(), lambda one: one.send_signal(how))
    _each(held.values(), psutil.Process.resume)


def _held(process: psutil.Process) -> None:
    """Wait until it stands still or is over, but not for one that waits for a disk."""
    import psutil

    still = {psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP, psutil.STATUS_ZOMBIE}
    end = time.monotonic() + LAST_SECONDS
    while process.status() not in still and time.monotonic() < end:
        time.sleep(0.001)


def _each(processes: Iterable[psutil.Process], work: Callable[[psutil.Process], None]) -> None:
    """Do something to those that are still there."""
    import psutil

    for process in processes:
        with contextlib.suppress(psutil.Error):
            work(process)
