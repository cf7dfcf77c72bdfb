"""Conda's environment files (`environment.yml`): what they ask for. Reads text only."""

from __future__ import annotations

from typing import Any, cast

import yaml

from spice_engine.errors import InvalidRequest
from spice_engine.records import record

_LARGEST = 2**20
_IGNORED = frozenset({"name", "prefix"})


@record
class CondaFile:
    """`specs` are conda's packages, `pip` those that pip installs on top."""

    channels: tuple[str, ...] = ()
    specs: tuple[str, ...] = ()
    pip: tuple[str, ...] = ()


def read(text: str) -> CondaFile:
    """What a file asks for; an empty text asks for nothing.

    Raises:
        InvalidRequest: it has another form.
    """
    if len(text) > _LARGEST:
        raise InvalidRequest("the conda file is over 1 MiB.")
    try:
        data: object = yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InvalidRequest(f"the conda file is no YAML: {' '.join(str(error).split())}") from None
    if data is None:
        return CondaFile()
    if not isinstance(data, dict):
        raise _wrong("it holds no map")
    found = cast("dict[object, object]", data)
    unknown = [str(key) for key in found if key not in {*_IGNORED, "channels", "dependencies"}]
    if unknown:
        raise InvalidRequest(
            f"the conda file has {', '.join(unknown)[:200]}, which is not used here.",
            hint="Take it out; variables are given with --env.",
        )
    channels = tuple(name for name in _texts(found, "channels") if name != "nodefaults")
    specs: list[str] = []
    pip: list[str] = []
    for item in _list(found, "dependencies"):
        if isinstance(item, dict):
            inner = cast("dict[object, object]", item)
            if set(inner) != {"pip"}:
                raise _wrong("a map in dependencies is `pip:` and a list")
            pip += _texts(inner, "pip")
        elif isinstance(item, str) and item.strip():
            specs.append(item.strip())
        else:
            raise _wrong(f"{str(item)[:80]!r} is no package")
    return CondaFile(channels, tuple(specs), tuple(pip))


def _list(data: dict[object, object], name: str) -> list[Any]:
    found = data.get(name)
    if found is None:
        return []
    if not isinstance(found, list):
        raise _wrong(f"{name} is no list")
    return cast("list[Any]", found)


def _texts(data: dict[object, object], name: str) -> list[str]:
    found = _list(data, name)
    if not all(isinstance(item, str) and item.strip() for item in found):
        raise _wrong(f"{name} holds something that is no text")
    return [str(item).strip() for item in found]


def _wrong(reason: str) -> InvalidRequest:
    return InvalidRequest(
        f"the conda file cannot be used: {reason}.",
        hint="Such as: dependencies: [numpy=2.1, pip: [polars]]",
    )
