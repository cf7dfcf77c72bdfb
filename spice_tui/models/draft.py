"""Drafts: texts that are not saved yet, kept on disk so that no crash takes them.

As an editor's swap file, but among the program's own state, so that a read-only folder has
drafts too and nothing appears among the user's files.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from spice_engine.errors import SpiceError, StorageError
from spice_engine.protocol.location import state_home
from spice_engine.records import record
from spice_tui.models.build import build


@record
class Draft:
    """An unsaved text of the manifest at `path`.

    `base` and `base_text` are the file's digest and text that it was made from, `written` the
    Unix second of its last change.
    """

    path: str
    text: str
    base: str = ""
    base_text: str = ""
    pod: str = ""
    written: float = 0.0


class Drafts:
    """The drafts of one app folder. Its methods block for a moment of disk."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @classmethod
    def of_folder(cls, key: str) -> Drafts:
        """Those of an app folder, by its key (`Location.key`)."""
        return cls(state_home() / "drafts" / key)

    def _file(self, path: str) -> Path:
        """The name tells a person which manifest it is of; the digest keeps paths apart."""
        digest = hashlib.sha256(path.encode("utf-8", "surrogatepass")).hexdigest()[:12]
        name = "".join(c if c.isalnum() or c in "-_" else "-" for c in Path(path).stem)[:40]
        return self._folder / f"{name}-{digest}.json"

    def keep(self, draft: Draft) -> None:
        """Write a draft in place of the older one of its path, or leave that as it was.

        Raises:
            StorageError: it could not be written.
        """
        file = self._file(draft.path)
        temporary = None
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle, name = tempfile.mkstemp(dir=self._folder, prefix=".draft-")
            temporary = Path(name)
            with os.fdopen(handle, "w", encoding="utf-8") as stream:
                json.dump(asdict(draft), stream)
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(file)
        except OSError as error:
            if temporary is not None:
                with contextlib.suppress(OSError):
                    temporary.unlink()
            raise StorageError(
                f"the draft of {draft.path} could not be kept: {error.strerror}.",
                hint="The text is in memory only: make room, or save it elsewhere.",
            ) from error

    def find(self, path: str) -> Draft | None:
        """The draft of a path; a file that is damaged is put aside and counts as none."""
        file = self._file(path)
        try:
            raw = file.read_bytes()
        except OSError:
            return None
        try:
            data: Any = json.loads(raw)
            draft = build(Draft, data)
        except (ValueError, SpiceError):
            draft = None
        if draft is None or not isinstance(draft.text, str) or draft.path != path:
            with contextlib.suppress(OSError):
                file.replace(file.with_suffix(".damaged"))
            return None
        return draft

    def drop(self, path: str) -> None:
        """Forget the draft of a path, if there is one."""
        with contextlib.suppress(OSError):
            self._file(path).unlink(missing_ok=True)
