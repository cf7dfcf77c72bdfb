"""Models, as a script sees them."""

# What crosses the door is plain data.
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownMemberType=false, reportUnknownLambdaType=false

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any
from urllib.parse import quote

from spice_runtime.client.copying import brought
from spice_runtime.client.door import Door

_UTC = timezone.utc  # noqa: UP017 - of every Python


class ModelsService:
    """`client.models`."""

    def __init__(self, door: Door) -> None:
        self._door = door

    def new(
        self,
        name: str,
        resource: str,
        version: str | None = None,
        files: Sequence[Any] = (),
        description: str | None = None,
    ) -> ModelVersion:
        """Make the next version of a model; `files` are `PATH[:DEST]` inside the resource."""
        request = {
            "name": name,
            "resource": resource,
            "version": version or "",
            "files": [":".join(one) if isinstance(one, (list, tuple)) else one for one in files],
            "description": description or "",
        }
        return ModelVersion(self._door, self._door.create("models", request))

    def get(self, name: str, version: str | int | None = None) -> Model | ModelVersion:
        """A model, or one of its versions."""
        if version is None:
            found = self._door.get(f"models/{name}")
            return Model(self._door, found["model"], found["versions"])
        return ModelVersion(self._door, self._door.get(f"models/{name}/versions/{version}"))

    def list(self) -> Sequence[Model]:
        """All models."""
        return [Model(self._door, one, None) for one in self._door.get("models")["models"]]

    def rm(self, name: str, version: str | int | None = None) -> None:
        """Remove a version, or the whole model."""
        self._door.delete(
            f"models/{quote(name, safe='')}", version=None if version is None else str(version)
        )


class _Answer:
    """An answer of the engine; its fields are attributes."""

    def __init__(self, door: Door, info: dict[str, Any]) -> None:
        self._door = door
        self._info = info

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name not in self._info:
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")
        return self._info[name]


class Model(_Answer):
    """A model."""

    def __init__(
        self, door: Door, info: dict[str, Any], versions: Sequence[dict[str, Any]] | None
    ) -> None:
        super().__init__(door, info)
        self._versions = versions

    @property
    def model_versions(self) -> list[ModelVersion]:
        """Its versions, newest first."""
        if self._versions is None:
            self._versions = self._door.get(f"models/{self._info['name']}")["versions"]
        return [ModelVersion(self._door, one) for one in self._versions or ()]

    def __repr__(self) -> str:
        return f"Model(name={self._info['name']!r})"


class ModelVersion(_Answer):
    """A version of a model."""

    @property
    def name(self) -> str:
        """The model's name."""
        return self._info["model"]

    @property
    def created_at(self) -> datetime:
        """When it was made."""
        return datetime.fromtimestamp(self._info["created"], _UTC)

    @property
    def formatted_version(self) -> str:
        """`v2`, or the name that it was given."""
        return self._info["version"] or f"v{self._info['number']}"

    def download(self, dest: str | None = None, quiet: bool = False) -> None:
        """Write its files to a folder of this machine; default: here."""
        name, number = self._info["model"], self._info["number"]
        if not quiet:
            print(f"Extracting {name}:v{number}...")  # noqa: T201 - Spell's client says so
        path = f"models/{name}/versions/v{number}/download"
        brought(self._door, path, {}, dest)

    def __repr__(self) -> str:
        return f"ModelVersion(name={self.name!r}, version={self.formatted_version!r})"
