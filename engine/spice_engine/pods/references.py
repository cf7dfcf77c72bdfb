"""What people write to name a package: `samples/gardener`, `./folder`, an address, `org/pod@2`."""

from __future__ import annotations

import urllib.parse
from typing import Literal

from spice_engine.errors import InvalidRequest
from spice_engine.pods.registry_http import shown
from spice_engine.records import record


@record
class Reference:
    """A package by its registry's name for it, or by where it is.

    `version` is a registry's version, or a branch, tag or commit; `path` a folder in a repository.
    """

    kind: Literal["name", "folder", "git", "http"]
    target: str
    version: str = ""
    path: str = ""

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Read what somebody wrote.

        Folders are told from names by how they begin: `/`, `./`, `../`, `~` or `file://`.

        Raises:
            InvalidRequest: it cannot name a package.
        """
        if not text or not text.isprintable() or len(text) > 2000:
            raise InvalidRequest(
                f"{text[:200]!r} names no package.", hint="Such as: samples/serverops."
            )
        if text.startswith("git+"):
            url, sharp, fragment = text[4:].partition("#")
            path, _, ref = fragment.partition("@")
            if not sharp and "@" in url.rpartition("/")[2]:
                url, _, ref = url.rpartition("@")
            return cls("git", url, ref, path.strip("/"))
        if text.startswith(("http://", "https://")):
            head, slash, last = text.rpartition("/")
            last, _, version = last.partition("@")
            return cls("http", f"{head}{slash}{last}", version)
        if text.startswith("file://"):
            return cls("folder", urllib.parse.unquote(text[7:]))
        if text in {".", ".."} or text.startswith(("/", "./", "../", "~")):
            return cls("folder", text)
        name, _, version = text.partition("@")
        return cls("name", name.rstrip("/"), version)

    @property
    def url(self) -> str:
        """Where an `http` reference leads; a version is the address's last part."""
        return f"{self.target}/{self.version}" if self.version else self.target

    @property
    def name(self) -> str:
        """What the lock file calls the package."""
        if self.kind == "name":
            short = self.target
            for prefix in ("samples/", "quickstarts/"):
                short = short.removeprefix(prefix)
            return short
        text = self.path or self.target
        if self.kind == "http":
            text = urllib.parse.urlsplit(text).path
        last = text.rstrip("/").rpartition("/")[2]
        return last.removesuffix(".git").removesuffix(".zip")

    def pinned(self, version: str) -> str:
        """What to write to get this version again, without a password that may be in it."""
        if self.kind == "git":
            return f"git+{shown(self.target)}#{self.path}@{version or self.version}"
        if self.kind == "http":
            return shown(self.target) + (f"@{self.version}" if self.version else "")
        wanted = version or self.version
        return f"{self.target}@{wanted}" if wanted and self.kind == "name" else self.target
