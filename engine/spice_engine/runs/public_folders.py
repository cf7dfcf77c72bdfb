"""Folders of this machine that everyone sees below `public/`, as the settings name them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from spice_engine.errors import InvalidRequest, InvalidSettings, NotFound
from spice_engine.protocol.resources import ResourceInfo
from spice_engine.runs import resource_paths as paths
from spice_engine.runs.resource_files import Resource, machine_resource


class PublicFolders:
    """The part of the resource tree below `public/`; read, and never written."""

    def __init__(self, texts: Sequence[str], root: Path, state: Path) -> None:
        """Each of `texts` is `NAME=FOLDER`, or a folder that has its own name there; relative ones
        lie in `root`. `state` is never shown.

        Raises:
            InvalidSettings: two have one name, or a name cannot be used.
        """
        self._state = state
        self._folders: dict[str, Path] = {}
        for text in texts:
            name, equals, folder = text.partition("=")
            if not equals:
                name, folder = Path(text).name, text
            try:
                paths.check_upload_name(name)
            except InvalidRequest as error:
                raise InvalidSettings(
                    f"public: {text[:200]!r} has no usable name.",
                    hint="Such as: images=/srv/data/images.",
                ) from error
            if name in self._folders or not folder:
                raise InvalidSettings(
                    f"public: {name!r} stands there twice, or names no folder.",
                    hint="Such as: images=/srv/data/images.",
                )
            self._folders[name] = root / Path(folder).expanduser()

    def listed(self) -> list[ResourceInfo]:
        """Each of them, by name; blocks for a moment."""
        return [
            ResourceInfo(
                f"public/{name}",
                "folder" if folder.is_dir() else "file",
                None,
                None,
                info=str(folder) if folder.exists() else f"{folder}: not there now",
            )
            for name, folder in sorted(self._folders.items())
        ]

    def find(self, name: str) -> Resource:
        """One of them; blocks for a moment.

        Raises:
            NotFound: there is none of that name, or its folder is not there.
            InvalidRequest: it lies in the engine's state.
        """
        folder = self._folders.get(name)
        if folder is None:
            raise NotFound(
                f"there is nothing public named {name[:100]!r}.",
                hint="The setting `public` names folders that are shown there.",
            )
        found = machine_resource(str(folder), self._state)
        return dataclasses.replace(found, path=f"public/{name}")
