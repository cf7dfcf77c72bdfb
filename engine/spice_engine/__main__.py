"""Start the engine: `python -I -m spice_engine [--background | --serve] [FOLDER] [flags]`.

Users start it through `spice-tui`; `-I` keeps files of the app folder from shadowing modules.
In the background it reports over the pipe in `SPICE_READY_FD` that it is ready, or the error
that stopped it; in the foreground errors are a paragraph on stderr. The exit code is the
error's.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import logging
import os
import resource
import sys
from pathlib import Path
from typing import Any

from spice_engine import __version__, logs
from spice_engine.errors import EngineUnavailable, SpiceError, StorageError
from spice_engine.protocol.location import locate
from spice_engine.settings import load_settings
from spice_runtime.process import SOFT_FILES

READY_VARIABLE = "SPICE_READY_FD"
MAX_OPEN_FILES = 65_536


def _arguments(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="spice_engine", description="The engine of spice-tui.")
    parser.add_argument("folder", nargs="?", default=".", help="the app folder")
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--serve", action="store_true", help="in the foreground, logging to stderr")
    mode.add_argument("--background", action="store_true", help="logging to the engine's log")
    parser.add_argument("--handover", default="", help=argparse.SUPPRESS)
    parser.add_argument("--http-host", default=None)
    parser.add_argument("--http-port", type=int, default=None)
    parser.add_argument("--insecure", action="store_true", default=None)
    parser.add_argument(
        "--trust", action="store_true", help="let code of this folder run, for this process"
    )
    parser.add_argument("--idle-minutes", type=float, default=None)
    parser.add_argument("--log-level", default=None)
    parser.add_argument("--version", action="version", version=__version__)
    return parser.parse_args(arguments)


class _Starter:
    """Whoever started this engine in the background, and waits for one line of JSON."""

    def __init__(self) -> None:
        ready = os.environ.pop(READY_VARIABLE, "")
        self._descriptor = int(ready) if ready.isdecimal() else None
        if self._descriptor is not None:
            os.set_inheritable(self._descriptor, False)

    def tell(self, message: dict[str, Any]) -> bool:
        """Tell it, once; False when nobody waits (any more)."""
        # Forgotten first: later the number may be that of another file.
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is None:
            return False
        with contextlib.suppress(OSError):
            os.write(descriptor, json.dumps(message).encode() + b"\n")
            os.close(descriptor)
        return True


def _raise_open_files() -> None:
    """Each run and client takes a descriptor: as many as the system allows, not the usual 1024.

    Commands get the limit back that the engine was started with.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    os.environ.setdefault(SOFT_FILES, str(soft))
    wanted = MAX_OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, MAX_OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def main(arguments: list[str] | None = None) -> int:
    """Run one engine until it is stopped; the exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    options = _arguments(given)
    if options.background and not options.handover and os.fork():
        os._exit(0)  # the engine belongs to nobody: whoever started it has no child to wait for
    starter = _Starter()
    _raise_open_files()
    location = locate(Path(options.folder))
    flags = {
        "http_host": options.http_host,
        "http_port": options.http_port,
        "insecure": options.insecure,
        "idle_minutes": options.idle_minutes,
        "log_level": options.log_level,
    }
    try:
        loaded = load_settings(location.root, flags=flags)
        # Imported late: a wrong setting is told without waiting for the server's libraries. None
        # of what that makes is garbage, and looking for some takes a tenth of the time.
        gc.disable()
        from spice_engine import app

        gc.enable()
        engine = app.Engine(
            location,
            loaded,
            foreground=not options.background,
            trusted=options.trust,
            handover=options.handover,
        )
        with engine.held():
            logs.set_up(location.log, loaded.values.log_level, to_stderr=not options.background)
            app.run(engine, starter.tell)
    except SpiceError as error:
        if not options.background:
            print(f"error: {error}", file=sys.stderr)  # noqa: T201 - the foreground's channel
        elif not starter.tell({"error": error.as_dict()}):
            # After a restart, or at the end, nobody waits: the log is all there is.
            with contextlib.suppress(StorageError):
                logs.set_up(location.log, "info", to_stderr=False)
                logging.getLogger("spice_engine").critical("the engine ended: %s", error)
        return error.exit_code
    except Exception as error:
        # A broken installation, or a defect of ours: in the background nobody sees where it was.
        what = f"the engine ended at its start: {type(error).__name__}: {error}."
        hint = "`spice-tui --serve` starts it here, and shows where."
        starter.tell({"error": EngineUnavailable(what, hint=hint).as_dict()})
        raise
    if engine.restarting:
        fresh = [item for item in given if not item.startswith("--handover")]
        os.execv(
            sys.executable,
            [sys.executable, "-I", "-m", "spice_engine", *fresh, f"--handover={engine.handover}"],
        )
    return 0


if __name__ == "__main__":
    CODE = main()
    # Everything is closed and on disk: freeing half a million objects one by one would only keep
    # whoever waits for the process.
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(CODE)
