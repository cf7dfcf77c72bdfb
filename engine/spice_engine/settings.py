"""Settings: defaults, then `spice.config.yaml`, then `SPICE_TUI_*` variables, then flags.

A wrong value is refused with the place it stands in: file, line and column, the variable's
name, or the flag.
"""

from __future__ import annotations

import dataclasses
import difflib
import os
from collections.abc import Mapping
from dataclasses import field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast, get_type_hints

import yaml

from spice_engine.errors import InvalidSettings, Place
from spice_engine.records import record

if TYPE_CHECKING:
    from pydantic import Field, TypeAdapter  # imported where a value was set

FILE_NAMES = ("spice.config.yaml", "spice.config.yml")
PREFIX = "SPICE_TUI_"
IGNORED = frozenset({"development_mode"})
"""Keys of the original product's file that have no meaning here."""
_LISTS = frozenset({"allowed_hosts", "conda_channels", "cors_origins", "public", "registries"})
"""Settings whose variable holds several values, separated by commas."""


def _meaning(text: str, default: Any) -> Any:
    if isinstance(default, list):
        return field(default_factory=list[str], metadata={"meaning": text})
    return field(default=default, metadata={"meaning": text})


@record
class Settings:
    """Everything that can be set; sizes are bytes, times seconds unless the name says else."""

    http_host: str = _meaning("Address the HTTP door listens on.", "127.0.0.1")
    http_port: Annotated[int, Field(ge=0, le=65535)] | None = _meaning(
        "Its port; not set: 8000, or the next free one. 0: any free one.", None
    )
    open_loopback: bool = _meaning(
        "Serve v0.1 reads, training and observations on loopback without a token.", True
    )
    allowed_hosts: list[str] = _meaning("Further names the Host header may carry.", [])
    cors_origins: list[str] = _meaning("Origins that pages may call the API from.", [])
    tls_cert: str = _meaning(
        "PEM file with the certificate chain, from the app folder; reloaded when it changes.", ""
    )
    tls_key: str = _meaning("PEM file with its private key, likewise.", "")
    insecure: bool = _meaning("Allow an address beyond loopback without TLS and token.", False)
    max_body_bytes: Annotated[int, Field(ge=1024)] = _meaning(
        "Largest HTTP body accepted.", 32 * 2**20
    )
    idle_minutes: Annotated[float, Field(ge=0, allow_inf_nan=False)] = _meaning(
        "A background engine leaves after this long without work or clients; 0: never.", 15.0
    )
    on_shutdown: Literal["leave", "stop"] = _meaning(
        "What becomes of running runs when the engine stops.", "leave"
    )
    drain_seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] = _meaning(
        "Longest wait for requests in flight at the end.", 10.0
    )
    trainers: Annotated[int, Field(ge=0, le=256)] = _meaning(
        "Warm training processes at most; 0: one per core but one, at least two.", 0
    )
    loaders: Annotated[int, Field(ge=1, le=64)] = _meaning("Data loading processes at most.", 1)
    training_seconds: Annotated[float, Field(gt=0, allow_inf_nan=False)] = _meaning(
        "Deadline of one training run.", 3600.0
    )
    replicas_ahead: Annotated[int, Field(ge=0, le=1)] = _meaning(
        "Processes of each model server that wait for its next replica; 0: none.", 1
    )
    conda_channels: list[str] = _meaning(
        "Channels of conda's packages, where none are named: names or addresses. Empty: "
        "conda-forge.",
        [],
    )
    public: list[str] = _meaning(
        "Folders that are resources at public/NAME, read-only: NAME=FOLDER, or FOLDER alone.", []
    )
    registries: list[str] = _meaning(
        "Where `add` looks for packages: folders, git+URL#path@ref, or HTTP addresses.", []
    )
    compat: Literal["", "strict"] = _meaning(
        "`strict`: answer the v0.1 API exactly as the original did.", ""
    )
    log_level: Literal["debug", "info", "warning", "error"] = _meaning(
        "Least severity written to the engine's log.", "info"
    )


_NAMES = tuple(item.name for item in dataclasses.fields(Settings))


@record
class LoadedSettings:
    """Settings with the source of each value."""

    values: Settings
    sources: Mapping[str, str]


@cache
def _adapters() -> dict[str, TypeAdapter[Any]]:
    from pydantic import Field, TypeAdapter

    hints = get_type_hints(Settings, localns={"Field": Field}, include_extras=True)
    return {name: TypeAdapter(hint) for name, hint in hints.items()}


def load_settings(
    folder: Path,
    environment: Mapping[str, str] | None = None,
    flags: Mapping[str, Any] | None = None,
) -> LoadedSettings:
    """The settings of an app folder.

    Raises:
        InvalidSettings: the first value that cannot be used, with its place.
    """
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for file_name in FILE_NAMES:
        path = folder / file_name
        if path.is_file():
            _from_file(path, values, sources)
            break
    variables = os.environ if environment is None else environment
    for name in _NAMES:
        text = variables.get(PREFIX + name.upper())
        if text is not None:
            value: Any = _list(text) if name in _LISTS else text
            values[name] = _check(name, value, f"variable {PREFIX}{name.upper()}", None)
            sources[name] = f"${PREFIX}{name.upper()}"
    for name, value in (flags or {}).items():
        if value is not None:
            flag = f"--{name.replace('_', '-')}"
            values[name] = _check(name, value, f"flag {flag}", None)
            sources[name] = flag
    settings = Settings(**values)
    if bool(settings.tls_cert) != bool(settings.tls_key):
        missing = "tls_key" if settings.tls_cert else "tls_cert"
        raise InvalidSettings(
            f"{missing} is not set, but the other half of the TLS pair is.",
            hint="Set both, or neither. `spice-tui doctor --make-tls` makes a pair.",
        )
    if settings.tls_cert:
        cert, key = folder / settings.tls_cert, folder / settings.tls_key
        settings = dataclasses.replace(settings, tls_cert=str(cert), tls_key=str(key))
    return LoadedSettings(settings, {name: sources.get(name, "default") for name in _NAMES})


def describe(settings: Settings) -> list[tuple[str, Any, str]]:
    """Name, value and meaning of every setting, in the order of their declaration."""
    return [
        (item.name, getattr(settings, item.name), str(item.metadata["meaning"]))
        for item in dataclasses.fields(settings)
    ]


def _list(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _from_file(path: Path, values: dict[str, Any], sources: dict[str, str]) -> None:
    try:
        text = path.read_text(encoding="utf-8")
        node = yaml.compose(text, Loader=yaml.CSafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = Place(path.name, mark.line + 1, mark.column + 1) if mark else Place(path.name)
        raise InvalidSettings(f"not YAML: {error.problem}.", place=place) from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InvalidSettings(f"cannot be read: {error}.", place=Place(path.name)) from error
    if node is None:
        return
    if not isinstance(node, yaml.MappingNode):
        raise InvalidSettings("must be a map of settings.", place=Place(path.name, 1, 1))
    loader = yaml.CSafeLoader(text)
    try:
        for key_node, value_node in cast("list[tuple[yaml.Node, yaml.Node]]", node.value):
            name = str(key_node.value)
            place = _place(path, key_node)
            if name in IGNORED:
                continue
            if name not in _NAMES:
                raise InvalidSettings(
                    f"there is no setting {name!r}.", hint=_guess(name), place=place
                )
            if name in sources:
                raise InvalidSettings(f"{name} is set twice.", place=place)
            place = _place(path, value_node)
            try:
                value = loader.construct_object(value_node, deep=True)  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
            except (yaml.YAMLError, ValueError) as error:
                raise InvalidSettings(f"{name} cannot be read: {error}.", place=place) from error
            values[name] = _check(name, value, name, _place(path, value_node))
            sources[name] = f"{path.name}:{key_node.start_mark.line + 1}"
    finally:
        loader.dispose()


def _place(path: Path, node: yaml.Node) -> Place:
    return Place(path.name, node.start_mark.line + 1, node.start_mark.column + 1)


def _guess(name: str) -> str:
    close = difflib.get_close_matches(name, _NAMES, n=1)
    return f"Did you mean {close[0]!r}?" if close else "`spice-tui config` lists them all."


def _check(name: str, value: Any, source: str, place: Place | None) -> Any:
    from pydantic import ValidationError

    if name not in _NAMES:
        raise InvalidSettings(f"there is no setting {name!r}.", hint=_guess(name))
    try:
        return _adapters()[name].validate_python(value)
    except ValidationError as error:
        reason = error.errors(include_url=False)[0]["msg"]
        raise InvalidSettings(
            f"{source}: {value!r} cannot be used: {reason[:1].lower()}{reason[1:]}.", place=place
        ) from error
