"""Finds and gets packages: of folders, git repositories, HTTP addresses, and the built-in ones.

Whatever a package comes from, it ends as a folder of files that were looked at; nothing of it
runs. Everything here blocks: call it in a thread.
"""

from __future__ import annotations

import hashlib
import io
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from spice_engine import __version__
from spice_engine.errors import NotFound, SpiceError
from spice_engine.pods import registry_git, registry_http
from spice_engine.pods.app_files import app_files, digests, is_wanted, tree_digest
from spice_engine.pods.deadline import Deadline
from spice_engine.pods.lockfile import ChecksumMismatch, LockedPackage
from spice_engine.pods.manifests import FOLDER, SUFFIXES
from spice_engine.pods.references import Reference
from spice_engine.pods.registry_index import FILE_NAME, LARGEST, Index, check_name, read_index
from spice_engine.pods.safe_zip import InvalidPackage, unpack
from spice_engine.pods.samples import sample_names, samples_folder, short_name
from spice_engine.records import record
from spice_engine.store.disk import storage_error

BUILT_IN = "built in"
ORIGINAL_PATH = "v0.1/spicepods"
_ZIP, _JSON = "application/zip", "application/json"


@record
class Offer:
    """A package that a registry has; `registry` is its address, or `built in`."""

    name: str
    version: str
    summary: str
    registry: str


@dataclass(frozen=True)
class Fetched:
    """A package that was got: its entry for the lock file, and its files by where they go."""

    package: LockedPackage
    files: dict[str, Path]


class Registries:
    """The built-in packages and the registries of the settings, in their order.

    `root` is what relative folders are relative to, `scratch` a folder for what is unpacked;
    `deadline` is that of all that is done with this object.
    """

    def __init__(
        self, locations: Sequence[str], root: Path, scratch: Path, deadline: Deadline
    ) -> None:
        self._locations = tuple(locations)
        self._root = root
        self._scratch = scratch
        self._deadline = deadline

    def search(self, text: str) -> tuple[list[Offer], list[str]]:
        """The newest version of each package whose name or summary holds all words of `text`.

        The second list says which registries could not be asked, and why.
        """
        words = text.lower().split()
        found: list[Offer] = []
        failures: list[str] = []
        with tempfile.TemporaryDirectory(dir=self._scratch) as staging:
            for offers in (self._built_in(), *self._all(Path(staging), failures)):
                found += [
                    offer
                    for offer in offers
                    if all(word in f"{offer.name} {offer.summary}".lower() for word in words)
                ]
        return found, failures

    def fetch(self, reference: Reference, staging: Path) -> Fetched:
        """Get a package. What has to be unpacked goes below the folder `staging`.

        Raises:
            NotFound: no registry has it.
            ChecksumMismatch: it is not what its registry says.
            InvalidPackage, TooLarge: it holds what it must not.
            SpiceError: the registry cannot be reached or read.
        """
        match reference.kind:
            case "name":
                return self._by_name(reference, staging)
            case "folder":
                path = (self._root / reference.target).expanduser()
                if path.is_file():
                    data = _read(path)
                    return _fetched(reference, _unzip(data, staging, path.name), str(path))
                if not path.is_dir():
                    raise NotFound(f"there is no folder {reference.target}.")
                return _fetched(reference, path, str(path))
            case "git":
                folder, commit = self._git(reference, staging)
                return _fetched(reference, folder, f"git+{reference.target}", commit)
            case "http":
                data = self._get(reference.url)
                where = registry_http.shown(reference.url)
                return _fetched(reference, _unzip(data, staging, where), where)

    # -- by name

    def _by_name(self, reference: Reference, staging: Path) -> Fetched:
        name, version = reference.target, reference.version
        check_name(name)
        sample = short_name(name)
        if sample and version in {"", __version__}:
            known = Reference("name", f"samples/{sample}")
            return _fetched(known, samples_folder() / sample, known.target, __version__)
        failures: list[str] = []
        for location in self._locations:
            try:
                fetched = self._from(location, reference, staging / uuid.uuid4().hex)
            except (NotFound, registry_http.RegistryUnreachable) as error:
                failures.append(f"{_label(location)}: {error}")
                continue
            if fetched is not None:
                return fetched
        where = "; ".join(failures) or f"Built in are: {', '.join(sample_names())}."
        hint = "" if self._locations else " The setting `registries` names others."
        wanted = f"{name}@{version}" if version else name
        raise NotFound(f"there is no package {wanted!r}.", hint=where + hint)

    def _from(self, location: str, reference: Reference, staging: Path) -> Fetched | None:
        """The package from one registry, None where that does not have it."""
        name, version = reference.target, reference.version
        label = _label(location)
        if _is_http(location):
            index = self._http_index(location)
            if index is None:
                return self._original(location, reference, staging)
            one = index.find(name, version)
            if one is None:
                return None
            data = self._get(f"{location.rstrip('/')}/{one.file}")
            _verify(data, one.sha256, name, label)
            return _fetched(reference, _unzip(data, staging, name), label, one.version)
        folder = self._folder(location, staging)
        index = _folder_index(folder, label)
        if index is None:
            found = next((path for key, path in _apps(folder) if key.lower() == name.lower()), None)
            return _fetched(reference, found, label) if found and not version else None
        one = index.find(name, version)
        if one is None:
            return None
        data = _read(folder / one.file)
        _verify(data, one.sha256, name, label)
        return _fetched(reference, _unzip(data, staging / "zip", name), label, one.version)

    def _original(self, location: str, reference: Reference, staging: Path) -> Fetched:
        """A package of a registry of the original product, which has no index."""
        address = f"{location.rstrip('/')}/{ORIGINAL_PATH}/{reference.target}"
        if reference.version:
            address += f"/{reference.version}"
        data = self._get(address)
        folder = _unzip(data, staging, reference.target)
        return _fetched(reference, folder, _label(location), reference.version)

    def _folder(self, location: str, staging: Path) -> Path:
        """A registry that is a folder, or a git repository, as a folder."""
        if location.startswith("git+"):
            return self._git(Reference.parse(location), staging)[0]
        folder = (self._root / location).expanduser()
        if not folder.is_dir():
            raise NotFound(f"there is no folder {location}.")
        return folder

    def _get(self, address: str) -> bytes:
        return registry_http.get(address, _ZIP, self._deadline)

    def _http_index(self, location: str) -> Index | None:
        address = f"{location.rstrip('/')}/{FILE_NAME}"
        try:
            data = registry_http.get(address, _JSON, self._deadline, largest=LARGEST)
        except NotFound:
            return None
        return read_index(data, _label(location))

    def _git(self, reference: Reference, staging: Path) -> tuple[Path, str]:
        url = reference.target
        with tempfile.TemporaryFile() as archive:
            commit = registry_git.fetch(
                url, reference.version, reference.path, archive, self._deadline
            )
            archive.seek(0)
            unpack(cast("BinaryIO", archive), staging, registry_http.shown(url), wanted=_wanted)
        return staging, commit

    # -- what there is

    def _built_in(self) -> list[Offer]:
        return [
            Offer(name, __version__, _summary(samples_folder() / name.partition("/")[2]), BUILT_IN)
            for name in sample_names()
        ]

    def _all(self, staging: Path, failures: list[str]) -> Iterator[list[Offer]]:
        for number, location in enumerate(self._locations):
            label = _label(location)
            try:
                if _is_http(location):
                    index = self._http_index(location)
                    if index is None:
                        failures.append(f"{label} cannot be searched: it has no {FILE_NAME}.")
                        continue
                else:
                    folder = self._folder(location, staging / str(number))
                    index = _folder_index(folder, label)
                    if index is None:
                        yield [
                            Offer(name, "", _summary(path), label) for name, path in _apps(folder)
                        ]
                        continue
            except SpiceError as error:
                failures.append(f"{label}: {error}")
                continue
            yield [
                Offer(package.name, package.versions[-1].version, package.summary, label)
                for package in index.packages
                if package.versions
            ]


def _wanted(path: str) -> bool:
    """What of a repository is unpacked: what packages are made of, and packages."""
    return is_wanted(path) or (path.endswith(".zip") and not path.startswith("."))


def _fetched(reference: Reference, folder: Path, source: str, version: str = "") -> Fetched:
    files = app_files(folder)
    sums = digests(files)
    name = reference.name or folder.name
    # The built-in ones are those of the program; any version of it has its own.
    again = reference.target if source.startswith("samples/") else reference.pinned(version)
    package = LockedPackage(name, version, source, again, tree_digest(sums), sums)
    return Fetched(package, files)


def _is_http(location: str) -> bool:
    return location.startswith(("http://", "https://"))


def _label(location: str) -> str:
    """A registry's address as it may be shown and written down."""
    if location.startswith("git+"):
        return f"git+{registry_http.shown(location[4:].partition('#')[0])}"
    return registry_http.shown(location) if _is_http(location) else location


def _folder_index(folder: Path, label: str) -> Index | None:
    path = folder / FILE_NAME
    return read_index(_read(path, LARGEST), label) if path.is_file() else None


def _apps(folder: Path) -> list[tuple[str, Path]]:
    """The app folders in a folder, or in folders of it, by name or `org/name`."""
    found: list[tuple[str, Path]] = []
    for pattern in (f"*/{FOLDER}", f"*/*/{FOLDER}"):
        found += [
            (path.parent.relative_to(folder).as_posix(), path.parent)
            for path in folder.glob(pattern)
            if path.is_dir() and not path.relative_to(folder).as_posix().startswith(".")
        ]
    return sorted(found)


def _summary(folder: Path) -> str:
    """The first words of a package's README, else of its manifests."""
    manifests = (path for path in sorted((folder / FOLDER).glob("*")) if path.suffix in SUFFIXES)
    found = (first_words(path) for path in (folder / "README.md", *manifests))
    return next((text for text in found if text), "")


def first_words(path: Path) -> str:
    """The first paragraph's first line of a text, or that of a manifest's opening comment."""
    try:
        with path.open(encoding="utf-8", errors="replace") as source:
            lines = source.read(4096).splitlines()
    except OSError:
        return ""
    comment = path.suffix in SUFFIXES
    for line in lines:
        text = line.strip()
        if comment and not text.startswith("#"):
            break
        text = text.lstrip("#").strip() if comment else text
        if text and not text.startswith("#"):
            return text[:200]
    return ""


def _unzip(data: bytes, staging: Path, name: str) -> Path:
    """Unpack a package's ZIP; one that has a single folder at the top is that folder."""
    unpack(io.BytesIO(data), staging, name)
    entries = list(staging.iterdir())
    inner = entries[0] if len(entries) == 1 and entries[0].is_dir() else None
    return inner if inner is not None and inner.name != FOLDER else staging


def _verify(data: bytes, sha256: str, name: str, where: str) -> None:
    if hashlib.sha256(data).hexdigest() != sha256:
        raise ChecksumMismatch(
            f"{name} is not what the index of {where} says it is: nothing was taken of it.",
            hint="Try again; if it stays so, tell whoever keeps the registry.",
        )


def _read(path: Path, largest: int = registry_http.LARGEST) -> bytes:
    try:
        with path.open("rb") as source:
            data = source.read(largest + 1)
    except FileNotFoundError as error:
        raise NotFound(f"there is no file {path}.") from error
    except OSError as error:
        raise storage_error(error, "read the package", path) from error
    if len(data) > largest:
        raise InvalidPackage(f"{path} has over {largest} bytes.")
    return data
