"""What people write about models: names, `NAME[:VERSION]`, aliases, and `PATH[:DEST]` of files."""

from __future__ import annotations

import re

from spice_engine.errors import InvalidRequest
from spice_engine.records import record

LATEST = "latest"
BEST = "best"

LONGEST = 128
_NAME = re.compile(r"\w+[\w._~-]*")
_REPEATED = re.compile(r"([._~-])\1")
_NUMBER = re.compile(r"v([0-9]{1,17})")
_DIGITS = re.compile(r"[0-9]{1,17}")


@record
class FileSpec:
    """A part of a resource that goes into a model; both are paths inside, as their parts."""

    path: tuple[str, ...]
    destination: tuple[str, ...]

    @property
    def text(self) -> str:
        """`PATH`, or `PATH:DEST` where they differ."""
        path, destination = "/".join(self.path), "/".join(self.destination)
        return path if path == destination else f"{path}:{destination}"


def split(text: str) -> tuple[str, str]:
    """Name and version of `NAME[:VERSION]` or `NAME@ALIAS`; the version may be empty."""
    name, colon, version = text.partition(":")
    if "@" in name:
        name, _, alias = text.partition("@")
        return name, f"@{alias}"
    if colon and not version:
        raise InvalidRequest(
            f"{text[:200]!r} ends where a version should be.",
            hint="Such as: cifar:v2, cifar:demo, cifar:@latest.",
        )
    return name, version


def check_name(name: str, what: str = "a model") -> None:
    """Refuse what cannot name a model, or a version of one.

    Raises:
        InvalidRequest: with the rule.
    """
    if (
        _NAME.fullmatch(name)
        and not _REPEATED.search(name)
        and len(name.encode()) <= LONGEST
        and name.isprintable()
    ):
        return
    raise InvalidRequest(
        f"{name[:100]!r} cannot name {what}.",
        hint="A name begins with a letter, digit or '_', goes on with these and '.', '-' and '~', "
        f"repeats no sign, and has at most {LONGEST} bytes.",
    )


def check_version(version: str) -> None:
    """Refuse what cannot be a custom name of a version.

    Raises:
        InvalidRequest: with the rule.
    """
    check_name(version, "a version")
    if version in {LATEST, BEST} or _DIGITS.fullmatch(version):
        raise InvalidRequest(
            f"{version!r} cannot name a version: it means another one already.",
            hint="Every version gets a number by itself; beside it give a word of your own.",
        )


def check_alias(alias: str) -> str:
    """The alias without its `@`, if it can be given.

    Raises:
        InvalidRequest: it cannot.
    """
    plain = alias.removeprefix("@")
    if plain in {LATEST, BEST} or number_of(plain) is not None:
        raise InvalidRequest(
            f"{plain!r} cannot be given: it means another version already.",
            hint="Give a name of your own, such as production.",
        )
    check_name(plain, "a version")
    return plain


def number_of(version: str) -> int | None:
    """The number that `v3`, `v03` or `3` is, or None."""
    match = _NUMBER.fullmatch(version)
    if match is not None:
        return int(match[1])
    return int(version) if _DIGITS.fullmatch(version) else None


def label(number: int, version: str) -> str:
    """`v2`, or `demo (v2)`."""
    return f"{version} (v{number})" if version else f"v{number}"


def file_specs(texts: list[str]) -> list[FileSpec]:
    """The files that `PATH[:DEST]` name; a DEST that ends in `/` is a folder to put it in.

    Raises:
        InvalidRequest: one is no such thing, leads out, or two go to the same place.
    """
    specs = [_file_spec(text) for text in texts]
    taken: dict[tuple[str, ...], str] = {}
    for spec in specs:
        place = spec.destination
        for length in range(1, len(place) + 1):
            if place[:length] in taken:
                raise _same_place(taken[place[:length]], spec.text)
        other = next((text for at, text in taken.items() if at[: len(place)] == place), None)
        if other is not None:
            raise _same_place(other, spec.text)
        taken[place] = spec.text
    return specs


def _same_place(first: str, second: str) -> InvalidRequest:
    return InvalidRequest(
        f"the files {first!r} and {second!r} would be at the same place.",
        hint="Give another DEST: PATH:DEST.",
    )


def _file_spec(text: str) -> FileSpec:
    path, colon, destination = text.partition(":")
    if ":" in destination or (colon and not destination):
        raise InvalidRequest(
            f"{text[:200]!r} is not the form of a file.", hint="PATH or PATH:DEST, one colon."
        )
    parts = _parts(path, text)
    if not parts:
        raise InvalidRequest(f"{text[:200]!r} names no file.", hint="PATH or PATH:DEST.")
    if not colon:
        return FileSpec(parts, parts)
    target = _parts(destination, text)
    if destination.endswith("/"):
        target = (*target, parts[-1])
    if not target:
        raise InvalidRequest(f"{text[:200]!r} has no place to go to.", hint="PATH or PATH:DEST.")
    return FileSpec(parts, target)


def _parts(path: str, text: str) -> tuple[str, ...]:
    parts = tuple(part for part in path.split("/") if part not in {"", "."})
    if path.startswith("/") or ".." in parts or not _is_plain(path):
        raise InvalidRequest(
            f"{text[:200]!r} does not name a file inside its resource.",
            hint="Paths of files are relative to the resource, without '..'.",
        )
    return parts


def _is_plain(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text and len(text) <= 4096
