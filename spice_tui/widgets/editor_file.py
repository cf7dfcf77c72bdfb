"""The file behind the editor's text: reading, saving, drafts, and changes by somebody else."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import TYPE_CHECKING

from spice_engine.errors import SpiceError, StorageError
from spice_engine.protocol.authoring import ManifestText, ReadManifest, Saved, SaveManifest
from spice_tui.models import clock
from spice_tui.models.draft import Draft
from spice_tui.models.merge import Merged, merge

if TYPE_CHECKING:
    from spice_tui.models.authoring_door import AuthoringDoor
    from spice_tui.models.draft import Drafts
    from spice_tui.widgets.manifest_area import ManifestArea


class EditorFile:
    """Knows which text is on disk. `foreign` is a text there that the editor's is not made from."""

    def __init__(self, area: ManifestArea, door: AuthoringDoor, drafts: Drafts | None) -> None:
        self._area, self._door, self._drafts = area, door, drafts
        self._drafting = asyncio.Lock()
        self._saving = asyncio.Lock()
        self._clean: str | None = ""
        self.disk: ManifestText | None = None
        self.foreign: ManifestText | None = None
        self.draft_error = ""
        """Why the newest text is not on disk as a draft, if it is not."""
        self.pending: Draft | None = None
        """A draft that was found and not decided about; until then it is left alone."""

    @property
    def modified(self) -> bool:
        """Whether the text is not the one on disk."""
        return self.disk is not None and self._area.text != self._clean

    @property
    def state(self) -> str:
        """One word about the text: saved, modified, new, read-only, changed on disk."""
        if self.disk is None:
            return ""
        if self.foreign is not None:
            return "changed on disk"
        if self.modified:
            return "modified"
        if self._area.read_only:
            return "read-only"
        return "saved" if self.disk.exists else "new"

    @property
    def is_altered(self) -> bool:
        """Whether the text area cannot hold the file's text as it is.

        It parts lines at some characters, such as form feeds, and would write line feeds there.
        """
        return (
            self.disk is not None
            and not self.modified
            and (self._area.plain != self.disk.text.replace("\r\n", "\n").replace("\r", "\n"))
        )

    # -- reading

    async def read(self, pod: str, path: str) -> ManifestText:
        """The manifest as it is on disk. Raises `SpiceError`."""
        return await self._door.read(ReadManifest("" if path else pod, path))

    def show(self, manifest: ManifestText) -> None:
        """Edit this text from now on."""
        self.disk, self.foreign, self.pending, self.draft_error = manifest, None, None, ""
        self._area.show(manifest.text)
        # As the area gives it, which makes all ends of lines the same.
        self._clean = self._area.text
        self._area.read_only = not manifest.writable or self.is_altered

    # -- saving

    async def save(self) -> Saved:
        """Write the text, unless the file is not the one that it was made from.

        Raises:
            ChangedOnDisk: somebody else wrote it; `look` tells what.
            SpiceError: it was not written; the draft is kept.
        """
        async with self._saving:  # one after the other: each makes the base of the next
            return await self._save()

    async def _save(self) -> Saved:
        disk = self.disk
        if disk is None:
            raise StorageError("no manifest is open.")
        text = self._area.text
        try:
            saved = await self._door.save(SaveManifest(disk.path, text, disk.digest))
        except SpiceError:
            await self.keep_draft()
            raise
        if self.disk is disk:
            self.disk = ManifestText(saved.pod or disk.pod, disk.path, text, saved.digest)
            self._clean, self.foreign = text, None
            await self.keep_draft()
        return saved

    # -- changes by somebody else

    async def look(self) -> bool:
        """Look at the file; true when it is found changed, while the text was edited.

        A text that was not edited follows the file at once.

        Raises:
            SpiceError: it cannot be read.
        """
        disk = self.disk
        if disk is None or self._saving.locked():
            return False
        found = await self.read("", disk.path)
        known = (self.foreign or disk).digest
        if self.disk is not disk or self._saving.locked() or found.digest == known:
            return False
        if found.exists and self._lines(found.text) == self._area.plain:
            self._accept(found)  # both made the same change
        elif not found.exists:
            self.disk = dataclasses.replace(disk, digest="", exists=False)
            self._clean = None  # saving makes the file again
        elif not self.modified:
            self._area.change_to(found.text)
            self._accept(found)
        else:
            self.foreign = found
        return self.foreign is not None

    def _accept(self, found: ManifestText) -> None:
        self.disk, self.foreign, self._clean = found, None, self._area.text
        self._area.read_only = not found.writable or self.is_altered

    @staticmethod
    def _lines(text: str) -> str:
        return text.replace("\r\n", "\n")

    def resolve(self, choice: str) -> Merged | None:
        """Go on after a change by somebody else: keep `mine`, take `theirs`, or `merge`."""
        foreign, disk = self.foreign, self.disk
        if foreign is None or disk is None:
            return None
        if choice == "theirs":
            self._area.change_to(foreign.text)
            self._accept(foreign)
            return None
        merged = None
        if choice == "merge":
            texts = (disk.text, self._area.plain, foreign.text)
            merged = merge(*(self._lines(text) for text in texts))
            self._area.change_to(merged.text)
        self.disk, self.foreign = foreign, None
        same = self._area.plain == self._lines(foreign.text)
        self._clean = self._area.text if same else None
        return merged

    # -- drafts

    def find_draft(self) -> None:
        """Look for a draft of this file whose text is not the one on disk: `pending`."""
        if self._drafts is None or self.disk is None:
            return
        draft = self._drafts.find(self.disk.path)
        if draft is not None and self._lines(draft.text) == self._area.plain:
            self._drafts.drop(self.disk.path)
            draft = None
        self.pending = draft

    def restore(self, draft: Draft) -> None:
        """Take a draft's text. If the file has changed since, that is a change by somebody else."""
        self.pending = None
        self._area.change_to(draft.text)
        if self.disk is not None and draft.base != self.disk.digest:
            self.foreign = self.disk
            self.disk = dataclasses.replace(self.disk, digest=draft.base, text=draft.base_text)

    def discard(self, draft: Draft) -> None:
        """Forget a draft."""
        self.pending = None
        if self._drafts is not None:
            self._drafts.drop(draft.path)

    def _draft(self) -> Draft | None:
        if not self.modified or self.disk is None:
            return None
        disk = self.disk
        return Draft(disk.path, self._area.text, disk.digest, disk.text, disk.pod, clock.now())

    async def keep_draft(self) -> None:
        """Bring the draft on disk up to date: the text, or none when it is saved."""
        if self._drafts is None or self.disk is None or self.pending is not None:
            return
        async with self._drafting:
            draft, path = self._draft(), self.disk.path
            try:
                if draft is None:
                    await asyncio.to_thread(self._drafts.drop, path)
                else:
                    await asyncio.to_thread(self._drafts.keep, draft)
                self.draft_error = ""
            except StorageError as error:
                self.draft_error = str(error)

    def keep_draft_now(self) -> None:
        """The same at once, blocking: the program is about to end, or another file to come."""
        draft = self._draft()
        if self._drafts is not None and self.pending is None and draft is not None:
            try:
                self._drafts.keep(draft)
                self.draft_error = ""
            except StorageError as error:
                self.draft_error = str(error)
