"""The lock of an environment: the exact version of all that is in it. Text from and to JSON.

It is what a run keeps of its environment, what two environments are compared by, and what one is
made again from.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, field
from typing import Any

from spice_engine.errors import InvalidRequest
from spice_engine.records import record

VERSION = 1
_NAME = re.compile(r"^([A-Za-z0-9][\w.-]*)\s*(?:===?\s*(\S+)|@\s*(\S+))")


@record
class Lock:
    """`pip` are lines as `pip freeze` writes them, `conda` records of packages, `apt` lines
    `NAME=VERSION` of what was installed beside what the system had. `image` is what the system
    came from, `image_id` its content."""

    python: str = ""
    pip: tuple[str, ...] = ()
    conda: tuple[Mapping[str, Any], ...] = ()
    image: str = ""
    image_id: str = ""
    apt: tuple[str, ...] = ()
    setup: tuple[str, ...] = ()
    version: int = field(default=VERSION, kw_only=True)

    def text(self) -> str:
        """As JSON; the same for the same."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))

    def packages(self) -> dict[tuple[str, str], str]:
        """Versions by kind (python, pip, conda, apt, image, setup) and name."""
        found: dict[tuple[str, str], str] = {}
        if self.python:
            found["python", "python"] = self.python
        if self.image:
            found["image", self.image] = self.image_id[:19]
        for line in self.pip:
            found["pip", name_of(line)] = _version_of(line)
        for package in self.conda:
            build = f"{package['version']} {package['build']}"
            found["conda", str(package["name"])] = build
        for line in self.apt:
            name, _, version = line.partition("=")
            found["apt", name] = version
        for line in self.setup:
            found["setup", line] = "run"
        return found


def read(text: str) -> Lock:
    """The lock in a text.

    Raises:
        InvalidRequest: it is none.
    """
    try:
        data = dict(json.loads(text))
        if data.get("version") != VERSION:
            raise InvalidRequest(
                f"the lock is of version {data.get('version')}, not {VERSION}.",
                hint="It was written by another version of spice-tui.",
            )
        return Lock(
            python=str(data["python"]),
            pip=_texts(data, "pip"),
            conda=tuple(_record(item) for item in data["conda"]),
            image=str(data["image"]),
            image_id=str(data["image_id"]),
            apt=_texts(data, "apt"),
            setup=_texts(data, "setup"),
        )
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise InvalidRequest(f"this is no lock of an environment: {error!r}.") from None


def _record(item: Any) -> Mapping[str, Any]:
    record = dict(item)
    return record | {name: str(record[name]) for name in ("name", "version", "build", "url")}


def _texts(data: Mapping[str, Any], name: str) -> tuple[str, ...]:
    return tuple(str(item) for item in data[name])


def differences(one: Lock, other: Lock) -> list[tuple[str, str, str, str]]:
    """Kind, name, and the versions in both, of all that is not the same; a version is empty where
    it is not there."""
    before, after = one.packages(), other.packages()
    return [
        (*key, before.get(key, ""), after.get(key, ""))
        for key in sorted({*before, *after})
        if before.get(key) != after.get(key)
    ]


def name_of(line: str) -> str:
    """The name of a package in a line of `pip freeze`, in the form in which names are compared
    (PEP 503)."""
    found = _NAME.match(line)
    return re.sub(r"[-_.]+", "-", found.group(1)).lower() if found else line


def _version_of(line: str) -> str:
    found = _NAME.match(line)
    return (found.group(2) or found.group(3) or "") if found else ""


def lines_of(text: str) -> Iterable[str]:
    """The lines of `pip freeze` that are packages."""
    return (line.strip() for line in text.splitlines() if line.strip() and line[0] != "#")
