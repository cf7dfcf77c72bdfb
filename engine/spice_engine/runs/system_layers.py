"""Makes the layers of systems: images unpacked, packages of apt installed. See `systems`."""

from __future__ import annotations

import shlex
import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from spice_engine.errors import InvalidRequest
from spice_engine.protocol.servers import Dependencies
from spice_engine.runs import environment_script as scripts
from spice_engine.runs import systems
from spice_engine.runs.environment_builds import BUILD_SECONDS, LOG_BYTES, Builds, Recipe
from spice_engine.runs.environment_failure import failure
from spice_engine.runs.environment_folder import remove_tree, tail
from spice_engine.runs.environment_wishes import stamps
from spice_engine.runs.environment_work import named_in
from spice_engine.runs.systems import LAYER, ROOT, Image, System
from spice_engine.workers.jobs import Job
from spice_engine.workers.shims import Exit
from spice_runtime import process

BEFORE, AFTER = "dpkg-before.txt", "dpkg-after.txt"
_DEVICES = "--exclude=dev/* --exclude=./dev/*"


class SystemLayers:
    """The systems of one app folder."""

    def __init__(self, builds: Builds, state: Path, root: Path) -> None:
        self._builds = builds
        self._state = state
        self._root = root
        self.overlays: Callable[[], bool] = lambda: False
        """Whether commands can have overlays of their own; set when that can be found out."""

    def check(self, dependencies: Dependencies, cwd: Path | None = None) -> None:
        """Refuse what cannot be had here, with the reason; for a command that works in `cwd`
        itself, where it has no copy of it. Blocks.

        Raises:
            InvalidRequest: this machine does not allow it.
        """
        if not dependencies.image and not dependencies.apt:
            return
        systems.check(apt=bool(dependencies.apt), overlays=self.overlays())
        if dependencies.apt and not dependencies.image:
            systems.host(self._state, cwd)

    async def ensure(
        self, dependencies: Dependencies, variables: Mapping[str, str], image_id: str = ""
    ) -> System | None:
        """The system that has these packages; None where this machine's own will do. With
        `image_id` the image must be that one.

        Raises:
            NotFound: there is no such image.
            EnvironmentFailed: the image is another one, it cannot be unpacked, apt failed.
        """
        if not dependencies.image and not dependencies.apt:
            return None
        if dependencies.image:
            image = await systems.find_image(dependencies.image, self._root)
            if image_id and image.id != image_id:
                raise scripts.EnvironmentFailed(
                    f"the image {image.name} is not the one that the lock names any more.",
                    hint="Ask for an environment on the image as it is now: --from.",
                )
            system = await self._unpacked(image, variables)
        else:
            system = systems.host(self._state)
        if dependencies.apt:
            system = await self._with_packages(system, tuple(dependencies.apt), variables)
        return system

    async def _unpacked(self, image: Image, variables: Mapping[str, str]) -> System:
        if image.folder is not None:
            return System({"/": (str(image.folder),)}, image.name, image.id)
        key = systems.key_of_image(image)

        def write(attempt: Path) -> Job:
            (attempt / "make.sh").write_text(_unpacking(image, attempt / ROOT), encoding="utf-8")
            return _job(attempt, variables)

        async def recipe() -> Recipe:
            return Recipe(write, _failed, lambda _: None, {"image": image.name})

        ready, _ = await self._builds.made(key, lambda attempt: (attempt / ROOT).is_dir(), recipe)
        places = {"/": (str(ready.attempt / ROOT),)}
        return System(places, image.name, image.id, keys=(key,), variables=image.variables)

    async def _with_packages(
        self, system: System, packages: Sequence[str], variables: Mapping[str, str]
    ) -> System:
        found = stamps(self._root, [name for name in packages if name.endswith(".deb")])
        key = systems.key_of_layer(system, packages, found)

        def write(attempt: Path) -> Job:
            (attempt / "make.sh").write_text(
                _installing(self._root, attempt, packages), encoding="utf-8"
            )
            keep = [self._root, attempt, *named_in(self._root, packages)]
            seen = system.views(attempt / LAYER, keep)
            return _job(attempt, {**variables, **system.environment()}, seen)

        async def recipe() -> Recipe:
            asked = {"apt": list(packages), "image": system.image}
            return Recipe(write, _failed, _tidied, asked, system.keys)

        ready, _ = await self._builds.made(key, lambda attempt: (attempt / LAYER).is_dir(), recipe)
        made = system.over(ready.attempt / LAYER, key)
        return replace(made, apt=added_by(ready.attempt))


def _unpacking(image: Image, root: Path) -> str:
    place = shlex.quote(str(root))
    unpack = f"tar -C {place} --numeric-owner {_DEVICES} -xpf"
    lines = ["set -e", scripts.leaving_nothing(root, str(scripts.NO_IMAGE)), f"mkdir {place}"]
    if image.tar is not None:
        lines.append(f"{unpack} {shlex.quote(str(image.tar))}")
    else:
        lines += [
            f"made=$(podman create {shlex.quote(image.id)} /bin/sh)",
            "code=0",
            f'podman export "$made" | {unpack} - || code=$?',
            'podman rm "$made" >/dev/null',
            '[ "$code" = 0 ]',
        ]
    shell = shlex.quote(f"{root}/bin/sh")
    lines.append(
        f'[ -e {shell} ] || [ -L {shell} ] || {{ echo "error: it has no /bin/sh"; exit 1; }}'
    )
    return "\n".join([*lines, ""])


def _installing(root: Path, attempt: Path, packages: Sequence[str]) -> str:
    apt = "apt-get -o APT::Sandbox::User=root -o Dpkg::Use-Pty=0 -o Acquire::http::Timeout=20"
    options = "--yes --no-install-recommends -o Dpkg::Options::=--force-confdef"
    install = f"{apt} install {options} {shlex.join(packages)}"
    # What is known of the archives may be fresh enough, and there may be no network.
    names = not all(name.endswith(".deb") for name in packages)
    again = f" || {{ {apt} update && {install}; }}" if names else ""
    before, after = (shlex.quote(str(attempt / name)) for name in (BEFORE, AFTER))
    query = "dpkg-query -W -f '${Package}=${Version}\\n'"
    no_start = "/usr/sbin/policy-rc.d"
    return "\n".join(
        [
            scripts.leaving_nothing(attempt / LAYER),
            f"cd {shlex.quote(str(root))} || exit {scripts.NO_APT}",
            "export DEBIAN_FRONTEND=noninteractive",
            f"{query} > {before} || exit {scripts.NO_APT}",
            # Services of packages must not start: they would run on this machine itself.
            f"if [ ! -e {no_start} ]; then own=1; "
            f"printf '#!/bin/sh\\nexit 101\\n' > {no_start}; chmod 755 {no_start}; fi",
            f"{install}{again} || exit {scripts.NO_APT}",
            f'[ -z "$own" ] || rm -f {no_start}',
            "apt-get clean",
            f"{query} > {after} || exit {scripts.NO_APT}",
            "",
        ]
    )


def _job(
    attempt: Path, variables: Mapping[str, str], views: Sequence[Mapping[str, str]] = ()
) -> Job:
    return Job(
        argv=("/bin/sh", str(attempt / "make.sh")),
        env=variables,
        views=tuple(views),
        timeout_s=BUILD_SECONDS,
        log_max_bytes=LOG_BYTES,
        grace_s=2.0,
        nice=5,
    )


def _failed(attempt: Path, ended: Exit) -> None:
    file = attempt / process.LOG
    if ended.reason != "exited":
        raise scripts.EnvironmentFailed(
            f"the system was not made: its work was ended ({ended.reason}).",
            hint=f"The whole log: {file}.",
        )
    raise failure(ended.exit_code, f"{tail(file)}{ended.log_error}", (), file)


def _tidied(attempt: Path) -> None:
    """Take out what nobody needs: lists of archives, and what the kernel keeps for itself."""
    for spare in (attempt / LAYER).glob("*/spare"):
        remove_tree(spare)
    for lists in (attempt / LAYER).glob("*/changes/**/apt/lists"):
        for file in lists.glob("*_*"):
            if stat.S_ISREG(file.lstat().st_mode):
                file.unlink()


def added_by(attempt: Path) -> tuple[str, ...]:
    """What apt installed, or installed in another version, as `NAME=VERSION`."""
    try:
        before = set((attempt / BEFORE).read_text(encoding="utf-8").splitlines())
        after = (attempt / AFTER).read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise InvalidRequest(f"what apt installed cannot be read: {error}.") from error
    return tuple(sorted(line for line in after if line not in before))
