"""Finds the manifests of an app folder and reads them."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path

from spice_engine.pods.live import problem_from
from spice_engine.pods.manifest import parse_manifest
from spice_engine.pods.model import Manifest
from spice_engine.protocol.pods import ProblemInfo
from spice_engine.records import record

log = logging.getLogger(__name__)

FOLDER = "spicepods"
SUFFIXES = frozenset({".yaml", ".yml"})
MAX_MANIFEST_BYTES = 2**20


@record
class ManifestFile:
    """A manifest's bytes, cut just over the limit; `unreadable` says why there are none."""

    text: bytes = b""
    unreadable: str = ""

    @property
    def digest(self) -> str:
        """What tells this content from any other."""
        return hashlib.sha256(self.unreadable.encode() + b"\0" + self.text).hexdigest()


def find_manifests(root: Path) -> dict[Path, ManifestFile]:
    """The manifests of an app folder, by path and in its order. Blocks.

    A file that is there but cannot be read is among them.
    """
    found: dict[Path, ManifestFile] = {}
    try:
        paths = sorted((root / FOLDER).iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return found
    except OSError as error:
        log.error("%s cannot be read: %s", root / FOLDER, error.strerror)
        return found
    for path in paths:
        if path.suffix not in SUFFIXES or path.name.startswith("."):
            continue
        try:
            if path.is_file():
                with path.open("rb") as source:
                    found[path] = ManifestFile(source.read(MAX_MANIFEST_BYTES + 1))
        except FileNotFoundError:
            continue
        except OSError as error:
            found[path] = ManifestFile(unreadable=error.strerror or str(error))
    return found


def read_manifest(
    text: bytes, file: str, unreadable: str = ""
) -> tuple[Manifest | None, tuple[ProblemInfo, ...]]:
    """A manifest and all findings in it; no manifest when one of them is an error."""
    if unreadable:
        return None, (ProblemInfo("unreadable", "error", f"cannot be read: {unreadable}.", file),)
    if len(text) > MAX_MANIFEST_BYTES:
        big = f"is over {MAX_MANIFEST_BYTES} bytes."
        return None, (ProblemInfo("too_large", "error", big, file),)
    try:
        decoded = text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = text[: error.start].count(b"\n") + 1
        return None, (ProblemInfo("not_utf8", "error", "is not UTF-8 text.", file, line, 1),)
    parsed = parse_manifest(decoded, file)
    return parsed.manifest, tuple(problem_from(problem.as_dict()) for problem in parsed.problems)
