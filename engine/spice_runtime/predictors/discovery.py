"""Finding a predictor: the module of an entrypoint, the class in it, the object made of it."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

from spice_runtime.predictors.base import BasePredictor, ModelInfo
from spice_runtime.predictors.signatures import InvalidPredictor

NONE = "No predictors found. Make sure your predictors extend BasePredictor."
SEVERAL = "More than one predictor found, but no classname was specified."


def load_module(code: Path, entrypoint: str) -> Any:
    """Imports the file `entrypoint` of the folder `code`, by its dotted name.

    Folders are climbed while they are packages; the first one that is none becomes importable,
    and so does `code` itself.

    Raises:
        InvalidPredictor: the path cannot be a module's.
        ModuleNotFoundError: there is no such file.
        Exception: whatever the module raises.
    """
    path = code / entrypoint
    if path.suffix != ".py":
        raise InvalidPredictor("Predictor must be in a Python file")
    if not path.is_file():
        raise ModuleNotFoundError(f"there is no file {entrypoint} in {code}", path=str(path))
    root = path.parent
    parts = [path.stem]
    while (root / "__init__.py").exists() and root != root.parent:
        parts.insert(0, root.name)
        root = root.parent
    for part in parts:
        if not part.isidentifier():
            raise InvalidPredictor(f"Invalid python path element {part}")
    if parts[0] in ("spell", "spice_runtime"):
        raise InvalidPredictor(f'Top-level module for predictor cannot be named "{parts[0]}"')
    for folder in (str(root), str(code)):
        if folder in sys.path:
            sys.path.remove(folder)
        sys.path.insert(0, folder)
    name = ".".join(parts)
    module = importlib.import_module(name)
    found = getattr(module, "__file__", None)
    if found is None or not Path(found).samefile(path):
        raise InvalidPredictor(
            f"The module {name} is {found or 'built in'}, not {entrypoint}: give the file (or its "
            "folder) another name"
        )
    return module


def find_class(classname: str) -> type[BasePredictor]:
    """The one subclass of BasePredictor there is, or the one of that name.

    Raises:
        InvalidPredictor: there is none, or there are several and no name says which.
    """
    found: dict[str, type[BasePredictor]] = {}
    waiting = list(BasePredictor.__subclasses__())
    while waiting:
        each = waiting.pop(0)
        found[each.__name__] = each
        waiting.extend(each.__subclasses__())
    if not found:
        raise InvalidPredictor(NONE)
    if classname:
        if classname not in found:
            names = ", ".join(found)
            raise InvalidPredictor(
                f"No predictor named {classname} was found. The predictors found were ({names})"
            )
        return found[classname]
    if len(found) > 1:
        raise InvalidPredictor(f"{SEVERAL} Found ({', '.join(found)})")
    return next(iter(found.values()))


def tell_models(models: list[dict[str, Any]]) -> None:
    """Sets `model_info` for every predictor of this process: None, one, or a list."""
    infos = [ModelInfo(str(each["name"]), str(each["version"])) for each in models]
    BasePredictor.model_info = None if not infos else infos[0] if len(infos) == 1 else infos
