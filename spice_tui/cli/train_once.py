"""An engine for one training of a manifest: the one that runs on its folder, or one for now."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from spice_engine.errors import EngineUnavailable, InvalidManifest, NotFound, SpiceError
from spice_engine.protocol.location import Location, is_locked, locate
from spice_tui.cli.following import FollowingClient
from spice_tui.cli.session import await_engine
from spice_tui.launch import start_engine

PODS_FOLDER = "spicepods"
START_SECONDS = 30.0


@contextlib.contextmanager
def engine_for(manifest: Path) -> Iterator[FollowingClient]:
    """A client of an engine that has the manifest among its pods.

    One that was started for this ends with the block.

    Raises:
        SpiceError: the engine cannot be started.
    """
    with contextlib.ExitStack() as stack:
        if manifest.parent.name == PODS_FOLDER:
            root = manifest.parent.parent
        else:
            root = stack.enter_context(_borrowed(manifest))
        location = locate(root)
        if not is_locked(location):
            start_engine(location, ["--http-port", "0"])
            stack.callback(_stop, location)
        client = await_engine(location, FollowingClient)
        stack.callback(client.close)
        yield client


def pod_of(client: FollowingClient, file: str) -> tuple[str, int | None]:
    """The pod of a manifest, and the number of its training where one is under way.

    Raises:
        InvalidManifest: it has errors.
        NotFound: the engine does not know it.
    """
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        for pod in client.call("pods.list")["pods"]:
            if Path(pod["manifest"]).name != file or pod["state"] == "loading":
                continue
            errors = [one for one in pod["problems"] if one["severity"] == "error"]
            if errors and pod["training"] is None and pod["state"] != "ready":
                raise InvalidManifest(
                    f"{file} cannot be trained: {errors[0]['message']}",
                    hint=errors[0]["hint"],
                    problems=pod["problems"],
                )
            return pod["name"], pod["training"]
        time.sleep(0.02)
    raise NotFound(f"the engine does not see {file}.")


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
        shutil.rmtree(root, ignore_errors=True)


def _stop(location: Location) -> None:
    with contextlib.suppress(SpiceError), FollowingClient(location) as client:
        client.call("engine.stop")
    deadline = time.monotonic() + START_SECONDS
    while is_locked(location) and time.monotonic() < deadline:
        time.sleep(0.02)
    if is_locked(location):
        raise EngineUnavailable(f"the engine of {location.root} does not end.")
