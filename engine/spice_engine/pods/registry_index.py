"""`index.json`: what a registry of ours offers. It lies beside the packages it names."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, field, replace
from functools import cache
from typing import TYPE_CHECKING

from spice_engine.errors import IncompatibleVersion, InvalidRequest, NotFound, Place
from spice_engine.pods.safe_zip import InvalidPackage, check_path
from spice_engine.records import record

if TYPE_CHECKING:
    from pydantic import TypeAdapter

FILE_NAME = "index.json"
FORMAT = "spice-registry"
VERSION = 1
LARGEST = 8 * 2**20

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}(?:/[A-Za-z0-9][A-Za-z0-9_.-]{0,63})?")
_VERSION_TEXT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@record
class IndexVersion:
    """One version: `file` relative to the index, its size and checksum, Unix seconds."""

    version: str
    file: str
    sha256: str
    bytes: int = 0
    published: float = 0.0


@record
class IndexPackage:
    """One package; the version published last is the last one."""

    name: str
    versions: list[IndexVersion]
    summary: str = ""


@record
class Index:
    """All packages of a registry."""

    format: str = FORMAT
    version: int = VERSION
    packages: list[IndexPackage] = field(default_factory=list[IndexPackage])

    def find(self, name: str, version: str = "") -> IndexVersion | None:
        """A version of a package, without one the newest; None where there is no such package.

        Raises:
            NotFound: there is the package, but not that version of it.
        """
        for package in self.packages:
            if package.name.lower() != name.lower() or not package.versions:
                continue
            for one in reversed(package.versions):
                if version in {"", one.version}:
                    return one
            known = ", ".join(one.version for one in package.versions[-10:])
            raise NotFound(f"{name} has no version {version!r}.", hint=f"Versions: {known}.")
        return None

    def with_version(self, name: str, summary: str, version: IndexVersion) -> Index:
        """The index with one version more."""
        others = [one for one in self.packages if one.name.lower() != name.lower()]
        mine = next((one for one in self.packages if one.name.lower() == name.lower()), None)
        versions = [*(mine.versions if mine else ()), version]
        packages = [*others, IndexPackage(name, versions, summary)]
        return replace(self, packages=sorted(packages, key=lambda package: package.name))


@cache
def _adapter() -> TypeAdapter[Index]:
    from pydantic import TypeAdapter

    return TypeAdapter(Index)


def read_index(data: bytes, where: str) -> Index:
    """Read an index; `where` is what messages call the registry.

    Raises:
        InvalidPackage: it is no index, or names what no package may have.
        IncompatibleVersion: it is of a newer form.
    """
    from pydantic import ValidationError

    place = Place(f"{where}/{FILE_NAME}")
    try:
        content = json.loads(data)
        known = content["format"], content["version"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InvalidPackage(f"it is no index of a registry ({error!r}).", place=place) from error
    if known[0] == FORMAT and known[1] != VERSION:
        raise IncompatibleVersion(
            f"the index has version {known[1]!r}, this program reads version {VERSION}.",
            hint="Use a newer program.",
            place=place,
        )
    try:
        index = _adapter().validate_python(content)
    except (ValidationError, RecursionError) as error:
        first = str(error).splitlines()[0]
        raise InvalidPackage(f"it is no index of a registry: {first}.", place=place) from error
    if index.format != FORMAT:
        raise InvalidPackage("it is no index of a registry.", place=place)
    for package in index.packages:
        for one in package.versions:
            check_path(one.file, place)
            if not (
                _NAME.fullmatch(package.name)
                and _VERSION_TEXT.fullmatch(one.version)
                and _SHA256.fullmatch(one.sha256)
                and one.file.endswith(".zip")
            ):
                raise InvalidPackage(
                    f"what it says of {package.name[:100]!r} cannot be used.", place=place
                )
    return index


def index_bytes(index: Index) -> bytes:
    """The index as a file."""
    return (json.dumps(asdict(index), indent=2, ensure_ascii=False) + "\n").encode()


def check_name(name: str) -> None:
    """Refuse what cannot name a package.

    Raises:
        InvalidRequest: it is neither `pod` nor `org/pod`.
    """
    if not _NAME.fullmatch(name):
        raise InvalidRequest(
            f"{name[:200]!r} is no package's name.",
            hint="Names are POD or ORG/POD, of letters, digits, '.', '_' and '-'.",
        )


def check_version(version: str) -> None:
    """Refuse what cannot name a version.

    Raises:
        InvalidRequest: it holds other characters than letters, digits and `._+-`.
    """
    if not _VERSION_TEXT.fullmatch(version):
        raise InvalidRequest(f"{version[:200]!r} is no version.", hint="Such as: 1, 2.0.1.")
