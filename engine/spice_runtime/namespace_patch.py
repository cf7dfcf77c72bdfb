"""/model and /mounts for Python code alone: functions that take a path are given another."""

from __future__ import annotations

import builtins
import functools
import glob
import io
import os
import os.path
import pathlib
import types
from typing import Any, cast

_OF_OS = (
    "access",
    "chdir",
    "listdir",
    "lstat",
    "open",
    "readlink",
    "scandir",
    "stat",
    "walk",
)
_OF_PATHS = ("exists", "getsize", "getmtime", "isdir", "isfile", "islink", "lexists", "realpath")


def patch(places: dict[str, str]) -> None:
    """From now on a path at or below a key is one at or below its value."""

    def translated(path: Any) -> Any:
        try:
            text = cast("Any", os.fspath(path))
        except TypeError:
            return path  # a descriptor
        raw = isinstance(text, bytes)
        name: str = os.fsdecode(text)
        for place, folder in places.items():
            if name == place or name.startswith(place + "/"):
                name = folder + name[len(place) :]
                return os.fsencode(name) if raw else name
        return path

    def wrapped(function: Any) -> Any:
        @functools.wraps(function)
        def call(path: Any = ".", *others: Any, **named: Any) -> Any:
            return function(translated(path), *others, **named)

        return call

    instead: dict[Any, Any] = {builtins.open: wrapped(builtins.open)}
    for module, names in ((os, _OF_OS), (os.path, _OF_PATHS)):
        for name in names:
            function = getattr(module, name)
            instead[function] = wrapped(function)
            setattr(module, name, instead[function])
    builtins.open = io.open = instead[builtins.open]
    # Classes of these modules keep functions of their own, which ones depends on the version.
    for module in (glob, pathlib):
        for kind in list(vars(module).values()):
            if isinstance(kind, type):
                _patch_class(kind, instead)


def _patch_class(kind: type, instead: dict[Any, Any]) -> None:
    for name, value in list(vars(kind).items()):
        function = getattr(value, "__func__", value)
        if isinstance(function, (types.FunctionType, types.BuiltinFunctionType)):
            other = instead.get(function)
            if other is not None:
                setattr(kind, name, staticmethod(other))
