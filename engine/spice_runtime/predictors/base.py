"""What a user's predictor is made of: the base class, model information, two decorators."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

MODEL_ROOT = "/model"
MODEL_DIR = "SPICE_MODEL_DIR"
"""Variable: where the files of the models are, seen from inside the replica."""

Function = TypeVar("Function", bound="Callable[..., Any]")


class ModelInfo:
    """A model that the server was given: its name, its version and where its files are."""

    __slots__ = ("name", "version")

    def __init__(self, name: str, version: str) -> None:
        self.name = name
        self.version = version

    def path(self) -> Path:
        """The folder of its files: `/model/<name>`, or where that stands if it cannot be had."""
        return Path(os.environ.get(MODEL_DIR) or MODEL_ROOT, self.name)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ModelInfo):
            return NotImplemented
        return (self.name, self.version) == (other.name, other.version)

    def __hash__(self) -> int:
        return hash((self.name, self.version))

    def __repr__(self) -> str:
        return f"ModelInfo(name={self.name!r}, version={self.version!r})"


class BasePredictor:
    """Subclass it and write `predict`; `prepare` and `health` may be there too.

    `model_info` is None, one model, or a list of them.
    """

    model_info: ModelInfo | list[ModelInfo] | None = None

    def health(self) -> Any:
        """What `GET /health` answers; one that raises makes the replica unhealthy."""
        return {"status": "ok"}

    def model_path(self, model_name: str | None = None) -> Path:
        """The folder of a model's files; the name may be left out where there is one model.

        Raises:
            ValueError: there is no such model, or several and no name.
        """
        info = self.model_info
        if not info:
            raise ValueError("No model metadata found")
        models = info if isinstance(info, list) else [info]
        if model_name is None:
            if len(models) > 1:
                raise ValueError("Multiple models found. Specify a model name")
            return models[0].path()
        for model in models:
            if model.name == model_name:
                return model.path()
        found = ", ".join(model.name for model in models)
        raise ValueError(f"Model {model_name} not found in server. Found {found}")


REQUEST_NAME = "__spice_full_request__"
TASKS_NAME = "__spice_background_tasks__"


def with_full_request(name: Any = "request") -> Any:
    """The argument of that name gets the whole request (Starlette's `Request`)."""
    return _mark(REQUEST_NAME, name, "request")


def with_background_tasks(name: Any = "tasks") -> Any:
    """The argument of that name gets Starlette's `BackgroundTasks`: done after the answer."""
    return _mark(TASKS_NAME, name, "tasks")


def _mark(attribute: str, name: Any, default: str) -> Any:
    # The decorator works without brackets, too.
    if not isinstance(name, str):
        return _marked(name, attribute, default)

    def decorate(function: Function) -> Function:
        return _marked(function, attribute, name)

    return decorate


def _marked(function: Function, attribute: str, name: str) -> Function:
    # Beneath @staticmethod or @classmethod, as above them.
    setattr(getattr(function, "__func__", function), attribute, name)
    return function
