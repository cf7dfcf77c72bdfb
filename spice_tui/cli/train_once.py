"""One training of a manifest's file: by the engine that runs on its folder, or by one for now."""

from __future__ import annotations

import contextlib
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from spice_engine.errors import Conflict, EngineUnavailable, InvalidManifest, NotFound, SpiceError
from spice_engine.protocol.location import Location, is_locked, locate
from spice_engine.records import record
from spice_tui.cli.following import FollowingClient
from spice_tui.cli.session import await_engine
from spice_tui.launch import start_engine

PODS_FOLDER = "spicepods"
START_SECONDS = 30.0
POLL_SECONDS = 0.02


@record
class FileTraining:
    """A manifest's file and an engine that has it; `ours`: the engine ends with the training."""

    client: FollowingClient
    given: str
    ours: bool

    @property
    def file(self) -> str:
        """Its name without folders."""
        return Path(self.given).name

    def begin(self, request: dict[str, Any]) -> dict[str, Any]:
        """Train its pod as `request` says; gives the training that began.

        One that began by itself, as always after a change, is as good where the request asks for
        nothing else, and is waited for where it does.

        Raises:
            SpiceError: it cannot be trained.
        """
        pod = self.pod()
        plain = not request["algorithm"] and request["episodes"] is None and not request["loggers"]
        while True:
            running = self.client.call("pods.get", {"pod": pod})["training"]
            if running is not None and plain:
                return self.client.call("pods.training", {"pod": pod, "number": running})
            if running is None:
                with contextlib.suppress(Conflict):  # it began by itself just now
                    return self.client.call("pods.train", {**request, "pod": pod})
            time.sleep(POLL_SECONDS)

    def pod(self) -> str:
        """The pod's name, once the engine has read the manifest.

        Raises:
            InvalidManifest: it has errors.
            NotFound: the engine does not know it.
        """
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            for pod in self.client.call("pods.list")["pods"]:
                if Path(pod["manifest"]).name == self.file and pod["state"] != "loading":
                    self._refuse_errors(pod)
                    return pod["name"]
            time.sleep(POLL_SECONDS)
        raise NotFound(f"the engine does not see {self.given}.")

    def _refuse_errors(self, pod: dict[str, Any]) -> None:
        errors = [one for one in pod["problems"] if one["severity"] == "error"]
        if not errors or pod["training"] is not None or pod["state"] == "ready":
            return
        count = "an error" if len(errors) == 1 else f"{len(errors)} errors"
        raise InvalidManifest(
            f"{self.given} cannot be trained: it has {count}.",
            problems=[self._told(one) for one in pod["problems"]],
        )

    def _told(self, problem: dict[str, Any]) -> dict[str, Any]:
        told = {**problem, "file": self.named(problem["file"])}
        if self.ours and problem["code"] == "needs_trust":  # nobody can trust a passing folder
            for name in ("message", "hint"):
                told[name] = told[name].replace("run `spice-tui trust`", "train it with --trust")
        return told

    def named(self, text: str) -> str:
        """Text in which the manifest has the path that was given, and not the engine's."""
        return text.replace(f"{PODS_FOLDER}/{self.file}", self.given)


@contextlib.contextmanager
def engine_for(given: str, path: Path, *, trust: bool) -> Iterator[FileTraining]:
    """An engine that has the manifest at `path` (resolved) among its pods.

    One that was started for this ends with the block, by whatever it is left.

    Raises:
        SpiceError: the engine cannot be started.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(_left_by_signals())
        if path.parent.name == PODS_FOLDER:
            root = path.parent.parent
        else:
            root = stack.enter_context(_borrowed(path))
        location = locate(root)
        ours = not is_locked(location) and _start(location, trust=trust)
        if ours:
            stack.callback(_stop, location)
        client = await_engine(location, FollowingClient)
        stack.callback(client.close)
        yield FileTraining(client, given, ours)


def _start(location: Location, *, trust: bool) -> bool:
    """Start an engine; False where somebody else did at the same moment.

    It leaves soon by itself, should this process be killed.
    """
    flags = ["--http-port", "0", "--idle-minutes", "1", *(["--trust"] if trust else [])]
    try:
        start_engine(location, flags)
    except EngineUnavailable:
        if not is_locked(location):
            raise
        return False
    return True


@contextlib.contextmanager
def _left_by_signals() -> Iterator[None]:
    """SIGTERM and a closed terminal leave the block as an exception does, so that it tidies up."""

    def leave(number: int, _frame: object) -> NoReturn:
        raise SystemExit(128 + number)

    before = {
        number: signal.signal(number, leave)
        for number in (signal.SIGTERM, signal.SIGHUP)
        if signal.getsignal(number) is signal.SIG_DFL  # `nohup` has one ignored
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _borrowed(manifest: Path) -> Iterator[Path]:
    """An app folder for the moment, in which the manifest's neighbours can be found."""
    root = Path(tempfile.mkdtemp(prefix="spice-train-")).resolve()
    try:
        (root / PODS_FOLDER).mkdir()
        (root / PODS_FOLDER / manifest.name).symlink_to(manifest)
        for entry in manifest.parent.iterdir():
            if entry.name not in {PODS_FOLDER, ".spice", manifest.name}:
                (root / entry.name).symlink_to(entry)
        yield root
    finally:
        shutil.rmtree(locate(root).state, ignore_errors=True)  # it may lie elsewhere
        shutil.rmtree(root, ignore_errors=True)


def _stop(location: Location) -> None:
    with contextlib.suppress(SpiceError), FollowingClient(location) as client:
        client.call("engine.stop")
    deadline = time.monotonic() + START_SECONDS
    while is_locked(location) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    if is_locked(location):
        raise EngineUnavailable(f"the engine of {location.root} does not end.")
