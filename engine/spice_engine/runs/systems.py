"""Systems that commands see instead of this machine's: images, and packages of apt on top.

Made without podman or bubblewrap: the kernel's overlays, in the mount namespace of the command.
An image is a folder, which is used as it is, a tar file, or an image of podman's, which are
unpacked once. Packages are installed once, as a layer: over the image, or over this machine's own
folders where there is no image. What a command changes in its system is its own, and goes with it.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import field, replace
from pathlib import Path

from spice_engine.errors import InvalidRequest, NotFound
from spice_engine.records import record
from spice_engine.runs.environment_script import EnvironmentFailed
from spice_engine.runs.environment_wishes import absolute
from spice_runtime import views

LAYER = "system"
ROOT = "root"
STATUS_FILE = "var/lib/dpkg/status"

_FOLDERS = ("/usr", "/etc", "/var", "/opt", "/bin", "/sbin", "/lib", "/lib64")
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PODMAN_SECONDS = 3600.0
_FORMAT = 1


@record
class Image:
    """A root file system: a `folder`, or what it is unpacked from: a `tar` file or podman's
    `name`. `id` changes with its content. `variables` are those that an image of podman's sets."""

    name: str
    id: str
    folder: Path | None = None
    tar: Path | None = None
    variables: Mapping[str, str] = field(default_factory=dict[str, str])


@record
class System:
    """What a command sees as its system: by place, the folders that lie over each other there, the
    topmost first. An image has the place `/`, and `variables` of its own. `keys` are those of its
    layers in the cache."""

    places: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    image: str = ""
    image_id: str = ""
    apt: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def is_image(self) -> bool:
        """Whether nothing of this machine's own system is seen."""
        return "/" in self.places

    def environment(self) -> dict[str, str]:
        """The variables that its commands have beside those of this machine."""
        return {"PATH": _PATH, **self.variables} if self.is_image else {}

    def views(self, beside: Path, keep: Sequence[Path]) -> list[dict[str, str]]:
        """The views of a command; what it changes goes to `beside`. Of this machine an image shows
        the paths `keep`."""
        found: list[dict[str, str]] = []
        for place, lowers in self.places.items():
            folder = beside / _name(place)
            if place == "/":
                kept = [str(path) for path in keep]
                at = str(folder / "at")
                found.append(views.system(at, list(lowers), str(folder), kept))
            else:
                found.append(views.system(place, list(lowers), str(folder), []))
        return found

    def over(self, layer: Path, key: str = "") -> System:
        """With what a command changed under `layer`, as `views` had it, on top."""
        places = {
            place: (str(layer / _name(place) / "changes"), *lowers)
            for place, lowers in self.places.items()
        }
        return replace(self, places=places, keys=(*self.keys, *([key] if key else [])))


def host(state: Path, cwd: Path | None = None) -> System:
    """This machine's own folders, to put packages over; for a command that works in `cwd` itself,
    where it has no copy of it.

    Raises:
        InvalidRequest: that cannot be done here.
    """
    if shutil.which("apt-get") is None:
        raise InvalidRequest(
            "this machine has no apt-get: its packages come from elsewhere.",
            hint="Name an image of Debian or Ubuntu: --from IMAGE.",
        )
    places: dict[str, tuple[str, ...]] = {}
    for place in map(Path, _FOLDERS):
        if not place.is_dir() or place.is_symlink():
            continue
        if cwd is not None and cwd.resolve().is_relative_to(place):
            raise InvalidRequest(
                f"packages cannot be put over {place} for a command that works in it: what it "
                "wrote there would be gone with them.",
                hint="Work in a folder elsewhere, or name an image: --from IMAGE.",
            )
        if state.resolve().is_relative_to(place):
            raise InvalidRequest(
                f"packages cannot be put over {place}, for the state of this folder lies in it.",
                hint="Set SPICE_STATE_DIR to a folder elsewhere, or name an image: --from IMAGE.",
            )
        places[str(place)] = (str(place),)
    return System(places)


def check(*, apt: bool, overlays: bool) -> None:
    """Refuse what this machine does not allow.

    Raises:
        InvalidRequest: with the reason.
    """
    what = "packages of apt (--apt)" if apt else "images (--from)"
    if not overlays:
        raise InvalidRequest(
            f"{what} cannot be had here: this machine gives commands no overlays of their own.",
            hint="`spice-tui doctor` says more. Install the packages on the machine itself.",
        )
    if apt and os.geteuid() != 0:
        raise InvalidRequest(
            f"{what} can be installed by root only, and the engine runs as another user.",
            hint="Name an image that has them: --from IMAGE.",
        )


async def find_image(name: str, root: Path) -> Image:
    """The image of a name; paths begin in `root`.

    Raises:
        NotFound: there is none.
        EnvironmentFailed: podman cannot get it.
    """
    place = absolute(root, name)
    found = await asyncio.to_thread(_local, name, place)
    if found is not None:
        return found
    if name.startswith(("/", "~", "./", "../")):
        raise NotFound(
            f"there is no image {name!r}.", hint="Name a folder, a tar file or an image."
        )
    if shutil.which("podman") is None:
        raise NotFound(
            f"{name!r} is no folder and no file, and there is no podman to get such an image.",
            hint="Install podman, or name a folder or tar file with a root file system.",
        )
    inspect = ("image", "inspect", "--format", "{{json .Config.Env}}\n{{.Id}}", name)
    code, said = await _podman(*inspect)
    if code:
        code, said = await _podman("pull", "--quiet", name)
        if code:
            raise EnvironmentFailed(
                f"podman cannot get the image {name}: {_last(said).removeprefix('Error: ')}",
                hint="Check its name.",
            )
        code, said = await _podman(*inspect)
    return Image(name, _last(said), variables=_variables(said.partition("\n")[0]))


def _local(name: str, place: Path) -> Image | None:
    # These two are False for what can be no path at all.
    if os.path.isdir(place):  # noqa: PTH112
        status = place / STATUS_FILE
        stamps = [str(place.stat().st_mtime_ns)]
        stamps += [str(status.stat().st_mtime_ns)] if status.is_file() else []
        if not any((place / shell).exists() for shell in ("bin/sh", "usr/bin/sh")):
            raise NotFound(f"the folder {name!r} holds no root file system: it has no /bin/sh.")
        return Image(name, "-".join(stamps), folder=place.resolve())
    if os.path.isfile(place):  # noqa: PTH113
        status = place.stat()
        return Image(name, f"{status.st_size}-{status.st_mtime_ns}", tar=place.resolve())
    return None


def _variables(said: str) -> dict[str, str]:
    """`["NAME=VALUE"]`, or null, as podman tells it."""
    with suppress(ValueError, TypeError):
        pairs = [str(text).partition("=") for text in json.loads(said) or ()]
        return {name: value for name, _, value in pairs}
    return {}


async def _podman(*words: str) -> tuple[int, str]:
    child = await asyncio.create_subprocess_exec(
        "podman",
        *words,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(_PODMAN_SECONDS):
            out, _ = await child.communicate()
    except (TimeoutError, asyncio.CancelledError):
        child.kill()
        await child.wait()
        raise
    return child.returncode or 0, out.decode("utf-8", "replace")


def _last(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return lines[-1] if lines else ""


def key_of_image(image: Image) -> str:
    """The key of an unpacked image."""
    # podman may have several names for the same.
    return key_from(["image", str(image.folder or image.tar or ""), image.id])


def key_of_layer(system: System, packages: Sequence[str], stamps: Sequence[object]) -> str:
    """The key of packages over a system. This machine's own is known by what dpkg has noted."""
    below: object = [*system.keys, system.image, system.image_id]
    if not system.is_image:
        status = Path("/", STATUS_FILE)
        below = [status.stat().st_mtime_ns, status.stat().st_size] if status.is_file() else ""
    return key_from(["apt", below, sorted(packages), list(stamps)])


def key_from(content: Sequence[object]) -> str:
    return hashlib.sha256(json.dumps([_FORMAT, *content]).encode()).hexdigest()[:16]


def _name(place: str) -> str:
    return place.strip("/").replace("/", "-") or ROOT
